/* SPDX-License-Identifier: Apache-2.0 */
/* What floor.c and floor-random.c share: asking the origin, and NBD's handshake, both of the least kind. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int port; /* on 127.0.0.1 */
static char path[1024];

struct __attribute__((packed)) request { uint32_t magic; uint16_t flags, type; uint64_t cookie, at; uint32_t length; };

static void die(const char *what) { perror(what); exit(1); }

static int dial(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (s < 0 || connect(s, (void *)&a, sizeof a)) die("connect");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return s;
}

static int listen_at(const char *name) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", name);
  int l = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(l, (void *)&a, sizeof a) || listen(l, 16)) die(name);
  return l;
}

/* Asks for bytes; gives how many of the body came with the head, which takes cap bytes of buf at most, and where they are. */
static long ask(int s, long from, long to, char *buf, long cap, char **body, long *total) {
  char q[2048];
  int n = snprintf(q, sizeof q, "GET %s HTTP/1.1\r\nHost: localhost\r\nRange: bytes=%ld-%ld\r\n\r\n", path, from, to - 1);
  if (write(s, q, n) != n) die("ask");
  long have = 0;
  char *end;
  do {
    long r = recv(s, buf + have, cap - have, 0);
    if (r <= 0) die("head");
    have += r;
  } while (!(end = memmem(buf, have, "\r\n\r\n", 4)));
  if (strncmp(buf, "HTTP/1.1 206", 12)) { fprintf(stderr, "%.12s\n", buf); exit(1); }
  if (total) *total = atol(strchr((char *)memmem(buf, have, "Content-Range: bytes ", 21), '/') + 1);
  *body = end + 4;
  return have - (*body - buf);
}

static int get(int s, void *p, long n) {
  for (long d = 0; d < n;) { long r = recv(s, (char *)p + d, n - d, 0); if (r <= 0) return 0; d += r; }
  return 1;
}

static void send_all(int s, const void *p, long n, int more) {
  for (long d = 0; d < n;) { long r = send(s, (const char *)p + d, n - d, more | MSG_NOSIGNAL); if (r <= 0) return; d += r; }
}

/* The handshake up to NBD_OPT_GO, with structured replies if they are offered and asked for: 0 if the client went away. */
static int shake(int s, long size, int offered, int *structured) {
  uint64_t hello[2] = {htobe64(0x4e42444d41474943), htobe64(0x49484156454F5054)};
  uint16_t flags = htobe16(3), tf = htobe16(1 | 2 | 256);
  uint32_t cf;
  struct __attribute__((packed)) { uint64_t magic; uint32_t option, length; } o;
  struct __attribute__((packed)) { uint64_t magic; uint32_t option, type, length; } r;
  char data[65536];
  *structured = 0;
  send_all(s, hello, 16, 0); send_all(s, &flags, 2, 0);
  if (!get(s, &cf, 4)) return 0;
  for (int go = 0; !go;) {
    if (!get(s, &o, 16) || be32toh(o.length) > sizeof data || !get(s, data, be32toh(o.length))) return 0;
    uint32_t opt = be32toh(o.option), type = 0x80000001u;
    r.magic = htobe64(0x3e889045565a9); r.option = o.option; r.length = 0;
    if (opt == 8 && offered) *structured = 1, type = 1;
    if (opt == 2) type = 1;
    if (opt == 6 || opt == 7) {
      struct __attribute__((packed)) { uint16_t info; uint64_t size; uint16_t flags; } i = {0, htobe64(size), tf};
      r.type = htobe32(3); r.length = htobe32(12);
      send_all(s, &r, 20, 0); send_all(s, &i, 12, 0);
      r.length = 0; type = 1; go = opt == 7;
    }
    r.type = htobe32(type);
    send_all(s, &r, 20, 0);
    if (opt == 2) return 0;
  }
  return 1;
}
