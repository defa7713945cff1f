/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a read-through NBD server can do: some threads fetch an image over plain HTTP, one unit after the other,
 * write it to a cache file, zeroes left out, and whoever reads is sent what has come, by sendfile. No bitmap, nothing is
 * forced, no error is survived, reads out of order wait. What is left of a peer's time beyond this one's is its own.
 *
 *   floor SOCKET CACHE PORT PATH THREADS UNIT PIECE CHECKSUMS
 *
 * PORT on 127.0.0.1; UNIT bytes are asked for at once, PIECE bytes stored at once; CHECKSUMS 1: CRC32C of each block, thrown away.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BLOCK = 4096 };
static int cache_fd, port, threads, piece;
static long unit, size, units, crc_on;
static char path[1024];
static _Atomic long next_unit;
static _Atomic long *landed; /* bytes of each unit that are in the file */
static unsigned char *zero;  /* of each block: it holds zeroes and was not written */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic unsigned long sums;

static void die(const char *what) { perror(what); exit(1); }

static int dial(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (s < 0 || connect(s, (void *)&a, sizeof a)) die("connect");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return s;
}

/* Asks for bytes; gives how many of the body came with the head, at the front of buf. */
static long ask(int s, long from, long to, char *buf, long cap, long *total) {
  char q[2048];
  int n = snprintf(q, sizeof q, "GET %s HTTP/1.1\r\nHost: localhost\r\nRange: bytes=%ld-%ld\r\n\r\n", path, from, to - 1);
  if (write(s, q, n) != n) die("ask");
  long have = 0;
  char *end;
  do {
    long r = recv(s, buf + have, (have < 4096 ? 4096 : cap) - have, 0);
    if (r <= 0) die("head");
    have += r;
    buf[have < cap ? have : cap - 1] = 0;
  } while (!(end = memmem(buf, have, "\r\n\r\n", 4)));
  if (strncmp(buf, "HTTP/1.1 206", 12)) { fprintf(stderr, "%.60s\n", buf); exit(1); }
  char *cr = memmem(buf, have, "Content-Range: bytes ", 21);
  if (total) *total = atol(strchr(cr, '/') + 1);
  long rest = have - (end + 4 - buf);
  memmove(buf, end + 4, rest);
  return rest;
}

static unsigned long crc(const char *p, long n) {
  unsigned long c = ~0u;
  for (; n >= 8; n -= 8, p += 8) c = __builtin_ia32_crc32di(c, *(const uint64_t *)p);
  return c;
}

static void put(const char *b, long n, long at) {
  /* runs of blocks that are zero, or not */
  for (long i = 0; i < n;) {
    long j = i, z = !b[i] && !memcmp(b + i, b + i + 1, (n - i < BLOCK ? n - i : BLOCK) - 1);
    for (long k = z; k == z && j < n;) {
      zero[(at + j) / BLOCK] = z;
      if (crc_on && !z) sums += crc(b + j, BLOCK);
      j += BLOCK;
      if (j < n) k = !b[j] && !memcmp(b + j, b + j + 1, (n - j < BLOCK ? n - j : BLOCK) - 1);
    }
    if (j > n) j = n;
    if (!z) {
      pthread_mutex_lock(&writing);
      if (pwrite(cache_fd, b + i, j - i, at + i) != j - i) die("pwrite");
      pthread_mutex_unlock(&writing);
    }
    i = j;
  }
}

static void *fetcher(void *x) {
  char *buf = aligned_alloc(4096, piece + 8192);
  int s = dial();
  for (long u; (u = next_unit++) < units;) {
    long from = u * unit, to = from + unit < size ? from + unit : size, at = from;
    long have = ask(s, from, to, buf, piece, 0);
    while (at < to) {
      long want = to - at < piece ? to - at : piece;
      while (have < want) {
        long r = recv(s, buf + have, want - have, 0);
        if (r <= 0) die("recv");
        have += r;
      }
      put(buf, want, at);
      at += want;
      have = 0;
      pthread_mutex_lock(&lock);
      landed[u] = at - from;
      pthread_cond_broadcast(&came);
      pthread_mutex_unlock(&lock);
    }
  }
  return x;
}

static void begin(void) {
  pthread_t t;
  for (int i = 0; i < threads; i++) pthread_create(&t, 0, fetcher, 0);
}

static int get(int s, void *p, long n) {
  for (long d = 0; d < n;) { long r = recv(s, (char *)p + d, n - d, 0); if (r <= 0) return 0; d += r; }
  return 1;
}
static void send_all(int s, const void *p, long n, int more) {
  for (long d = 0; d < n;) { long r = send(s, (const char *)p + d, n - d, more | MSG_NOSIGNAL); if (r <= 0) return; d += r; }
}
struct __attribute__((packed)) chunk { uint32_t magic; uint16_t flags, type; uint64_t cookie; uint32_t length; uint64_t offset; uint32_t hole; };

static void answer(int s, uint64_t cookie, long at, long n) {
  long end = at + n;
  for (long u = at / unit; u * unit < end; u++) {
    long need = (end < (u + 1) * unit ? end : (u + 1) * unit) - u * unit;
    if (landed[u] < need) {
      pthread_mutex_lock(&lock);
      while (landed[u] < need) pthread_cond_wait(&came, &lock);
      pthread_mutex_unlock(&lock);
    }
  }
  while (at < end) {
    int z = zero[at / BLOCK];
    long to = at;
    while (to < end && zero[to / BLOCK] == z) to = (to / BLOCK + 1) * BLOCK;
    if (to > end) to = end;
    struct chunk c = {htobe32(0x668e33ef), htobe16(to == end), htobe16(z ? 2 : 1), cookie, htobe32(z ? 12 : 8 + to - at), htobe64(at), htobe32(to - at)};
    send_all(s, &c, z ? 32 : 28, z && to == end ? 0 : MSG_MORE);
    off_t o = at;
    while (!z && o < to) if (sendfile(s, cache_fd, &o, to - o) <= 0) return;
    at = to;
  }
}

static void *serve(void *x) {
  int s = (long)x, structured = 0;
  uint64_t hello[2] = {htobe64(0x4e42444d41474943), htobe64(0x49484156454F5054)};
  uint16_t flags = htobe16(3), tf = htobe16(1 | 2 | 256);
  uint32_t cf;
  struct __attribute__((packed)) { uint64_t magic; uint32_t option, length; } o;
  struct __attribute__((packed)) { uint64_t magic; uint32_t option, type, length; } r;
  char data[65536];
  send_all(s, hello, 16, 0); send_all(s, &flags, 2, 0);
  if (!get(s, &cf, 4)) goto out;
  for (int go = 0; !go;) {
    if (!get(s, &o, 16) || be32toh(o.length) > sizeof data || !get(s, data, be32toh(o.length))) goto out;
    uint32_t opt = be32toh(o.option), type = 0x80000001u;
    r.magic = htobe64(0x3e889045565a9); r.option = o.option; r.length = 0;
    if (opt == 8) structured = 1, type = 1;
    if (opt == 2) type = 1;
    if (opt == 6 || opt == 7) {
      struct __attribute__((packed)) { uint16_t info; uint64_t size; uint16_t flags; } i = {0, htobe64(size), tf};
      r.type = htobe32(3); r.length = htobe32(12);
      send_all(s, &r, 20, 0); send_all(s, &i, 12, 0);
      r.length = 0; type = 1; go = opt == 7;
    }
    r.type = htobe32(type);
    send_all(s, &r, 20, 0);
    if (opt == 2) goto out;
  }
  if (!structured) { fprintf(stderr, "client without structured replies\n"); goto out; }
  struct __attribute__((packed)) { uint32_t magic; uint16_t flags, type; uint64_t cookie, at; uint32_t length; } q;
  while (get(s, &q, 28) && be16toh(q.type) == 0) {
    pthread_once(&once, begin);
    answer(s, q.cookie, be64toh(q.at), be32toh(q.length));
  }
out:
  close(s);
  return 0;
}

int main(int c, char **v) {
  if (c != 9) { fprintf(stderr, "usage: floor SOCKET CACHE PORT PATH THREADS UNIT PIECE CRC\n"); return 2; }
  signal(SIGPIPE, SIG_IGN);
  port = atoi(v[3]); snprintf(path, sizeof path, "%s", v[4]); threads = atoi(v[5]); unit = atol(v[6]); piece = atoi(v[7]); crc_on = atoi(v[8]);
  char buf[16384];
  int s = dial();
  ask(s, 0, 1, buf, sizeof buf, &size);
  close(s);
  units = (size + unit - 1) / unit;
  landed = calloc(units, sizeof *landed);
  zero = calloc(size / BLOCK + 1, 1);
  cache_fd = open(v[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (cache_fd < 0 || ftruncate(cache_fd, size)) die(v[2]);
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", v[1]);
  int l = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(l, (void *)&a, sizeof a) || listen(l, 16)) die(v[1]);
  for (long k; (k = accept(l, 0, 0)) >= 0;) { pthread_t t; pthread_create(&t, 0, serve, (void *)k); pthread_detach(t); }
  die("accept");
}
