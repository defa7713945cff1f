/* SPDX-License-Identifier: Apache-2.0 */
/* delayproxy: a TCP forwarder on loopback that holds every byte back for a fixed time in each
 * direction, so that a benchmark sees a round-trip time where the kernel has no netem.
 * usage: delayproxy LISTEN_PORT TARGET_PORT ONE_WAY_DELAY_US [RATE_BYTES_PER_S per connection and direction, 0 = none] */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define MAX_QUEUED (8 << 20)
struct chunk { struct chunk *next; uint64_t due; int len, off; char data[CHUNK]; };
struct pipe_ { int src, dst; struct chunk *head, *tail; size_t queued; int eof, done; uint64_t clock; };
struct conn { struct pipe_ p[2]; struct conn *next; int dead; };
static struct conn *conns; static uint64_t delay_ns; static uint64_t rate; static int ep;

static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static int dial(int port) { int s = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(s, (void *)&a, sizeof a)) { close(s); return -1; } int one = 1; setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); fcntl(s, F_SETFL, O_NONBLOCK); return s; }

static void pump_in(struct pipe_ *p) {
  while (!p->eof && p->queued < MAX_QUEUED) {
    struct chunk *c = malloc(sizeof *c); ssize_t n = recv(p->src, c->data, CHUNK, 0);
    if (n > 0) { uint64_t t = now(); c->len = n; c->off = 0; c->next = NULL;
      uint64_t base = t; if (rate) { if (p->clock < t) p->clock = t; p->clock += n * 1000000000ull / rate; base = p->clock; }
      c->due = base + delay_ns; if (p->tail) p->tail->next = c; else p->head = c; p->tail = c; p->queued += n; continue; }
    free(c); if (n == 0 || (errno != EAGAIN && errno != EINTR)) p->eof = 1; break; } }
static void pump_out(struct pipe_ *p, uint64_t t) {
  while (p->head && p->head->due <= t) { struct chunk *c = p->head; ssize_t n = send(p->dst, c->data + c->off, c->len - c->off, MSG_NOSIGNAL);
    if (n < 0) { if (errno != EAGAIN && errno != EINTR) { p->eof = p->done = 1; } return; }
    c->off += n; p->queued -= n; if (c->off == c->len) { p->head = c->next; if (!p->head) p->tail = NULL; free(c); } }
  if (p->eof && !p->head && !p->done) { shutdown(p->dst, SHUT_WR); p->done = 1; } }

int main(int argc, char **argv) {
  if (argc < 4) { fprintf(stderr, "usage: delayproxy LISTEN TARGET DELAY_US [RATE]\n"); return 2; }
  int lport = atoi(argv[1]), tport = atoi(argv[2]); delay_ns = strtoull(argv[3], 0, 10) * 1000ull; rate = argc > 4 ? strtoull(argv[4], 0, 10) : 0;
  int ls = socket(AF_INET, SOCK_STREAM, 0), one = 1; setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(lport), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(ls, (void *)&a, sizeof a) || listen(ls, 256)) { perror("bind"); return 1; } fcntl(ls, F_SETFL, O_NONBLOCK);
  ep = epoll_create1(0); int tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.fd = ls}; epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e); e.data.fd = tfd; epoll_ctl(ep, EPOLL_CTL_ADD, tfd, &e);
  struct epoll_event ev[256];
  for (;;) {
    int n = epoll_wait(ep, ev, 256, -1);
    for (int i = 0; i < n; i++) { if (ev[i].data.fd == tfd) { uint64_t x; if (read(tfd, &x, 8) < 0) {} } else if (ev[i].data.fd == ls) { int c;
        while ((c = accept4(ls, 0, 0, SOCK_NONBLOCK)) >= 0) { setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); int s = dial(tport); if (s < 0) { close(c); continue; }
          struct conn *k = calloc(1, sizeof *k); k->p[0] = (struct pipe_){.src = c, .dst = s}; k->p[1] = (struct pipe_){.src = s, .dst = c}; k->next = conns; conns = k;
          struct epoll_event q = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.fd = c}; epoll_ctl(ep, EPOLL_CTL_ADD, c, &q); q.data.fd = s; epoll_ctl(ep, EPOLL_CTL_ADD, s, &q); } } }
    uint64_t t = now(), due = UINT64_MAX;
    for (struct conn **pp = &conns; *pp;) { struct conn *k = *pp;
      for (int d = 0; d < 2; d++) { pump_in(&k->p[d]); pump_out(&k->p[d], t); if (k->p[d].head && k->p[d].head->due > t && k->p[d].head->due < due) due = k->p[d].head->due; }
      if (k->p[0].done && k->p[1].done) { close(k->p[0].src); close(k->p[0].dst); for (int d = 0; d < 2; d++) while (k->p[d].head) { struct chunk *c = k->p[d].head; k->p[d].head = c->next; free(c); } *pp = k->next; free(k); } else pp = &k->next; }
    struct itimerspec it = {0}; if (due != UINT64_MAX) { it.it_value.tv_sec = due / 1000000000ull; it.it_value.tv_nsec = due % 1000000000ull; } timerfd_settime(tfd, TFD_TIMER_ABSTIME, &it, 0);
  } }
