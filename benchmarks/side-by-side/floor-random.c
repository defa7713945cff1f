/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a read-through NBD server can do for random reads: each of some threads has a connection to the origin, takes
 * a read off the client's socket, asks for the unit around it over plain HTTP, writes that to a cache file and answers. The
 * connections are there before a client is. No bitmap, no checksums, nothing is forced, no error is survived; one client at a
 * time; a read lies in one unit; reads of a unit under way ask for it again. What is left of a peer's time beyond this one's
 * is its own. Threads, since they are no slower here than one with epoll, and less.
 *
 *   floor-random SOCKET CACHE PORT PATH THREADS UNIT
 *
 * PORT on 127.0.0.1; THREADS reads are under way at once; UNIT bytes, aligned to as many, are asked for.
 */
#include "floor.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>

enum { HEAD = 4096 };
static int cache_fd, listener, client = -1;
static long unit, size;
static unsigned char *present; /* of each unit: it is in the file */
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER, answering = PTHREAD_MUTEX_INITIALIZER;

static void next(struct request *q) {
  int structured;
  pthread_mutex_lock(&reading);
  while (client < 0 || !get(client, q, sizeof *q) || q->type) {
    if (client >= 0) close(client);
    if ((client = accept(listener, 0, 0)) < 0) die("accept");
    if (!shake(client, size, 0, &structured)) { close(client); client = -1; }
  }
  pthread_mutex_unlock(&reading);
}

static void answer(uint64_t cookie, char *b, long n) {
  struct __attribute__((packed)) { uint32_t magic, error; uint64_t cookie; } r = {htobe32(0x67446698), 0, cookie};
  struct iovec v[] = {{&r, sizeof r}, {b, n}};
  pthread_mutex_lock(&answering);
  if (writev(client, v, 2) != (long)sizeof r + n) die("answer");
  pthread_mutex_unlock(&answering);
}

static void *serve(void *x) {
  int s = (long)x;
  char *buf = malloc(HEAD + unit), *body;
  for (struct request q;;) {
    next(&q);
    long at = be64toh(q.at), n = be32toh(q.length), u = at / unit, from = u * unit, to = from + unit < size ? from + unit : size;
    if (at + n > to) { fprintf(stderr, "a read of more than one unit\n"); exit(1); }
    if (present[u]) {
      if (pread(cache_fd, buf, n, at) != n) die("pread");
      answer(q.cookie, buf, n);
      continue;
    }
    long have = ask(s, from, to, buf, HEAD + unit, &body, 0);
    if (!get(s, body + have, to - from - have)) die("body");
    if (pwrite(cache_fd, body, to - from, from) != to - from) die("pwrite");
    present[u] = 1;
    answer(q.cookie, body + (at - from), n);
  }
  return 0;
}

int main(int c, char **v) {
  if (c != 7) { fprintf(stderr, "usage: floor-random SOCKET CACHE PORT PATH THREADS UNIT\n"); return 2; }
  signal(SIGPIPE, SIG_IGN);
  port = atoi(v[3]); snprintf(path, sizeof path, "%s", v[4]); unit = atol(v[6]);
  char buf[16384], *body;
  int s = dial();
  ask(s, 0, 1, buf, sizeof buf, &body, &size);
  close(s);
  present = calloc(size / unit + 1, 1);
  cache_fd = open(v[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (cache_fd < 0 || ftruncate(cache_fd, size)) die(v[2]);
  listener = listen_at(v[1]);
  for (int i = atoi(v[5]); i; i--) { pthread_t t; pthread_create(&t, 0, serve, (void *)(long)dial()); }
  pause();
}
