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
#include "floor.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/sendfile.h>

enum { BLOCK = 4096 };
static int cache_fd, threads, piece;
static long unit, size, units, crc_on;
static _Atomic long next_unit;
static _Atomic long *landed; /* bytes of each unit that are in the file */
static unsigned char *zero;  /* of each block: it holds zeroes and was not written */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic unsigned long sums;

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
  char *buf = aligned_alloc(4096, piece + 8192), *body;
  int s = dial();
  for (long u; (u = next_unit++) < units;) {
    long from = u * unit, to = from + unit < size ? from + unit : size, at = from;
    long have = ask(s, from, to, buf, 4096, &body, 0);
    memmove(buf, body, have);
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
  int s = (long)x, structured;
  struct request q;
  if (!shake(s, size, 1, &structured)) goto out;
  if (!structured) { fprintf(stderr, "client without structured replies\n"); goto out; }
  while (get(s, &q, sizeof q) && !q.type) {
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
  char buf[16384], *body;
  int s = dial();
  ask(s, 0, 1, buf, sizeof buf, &body, &size);
  close(s);
  units = (size + unit - 1) / unit;
  landed = calloc(units, sizeof *landed);
  zero = calloc(size / BLOCK + 1, 1);
  cache_fd = open(v[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (cache_fd < 0 || ftruncate(cache_fd, size)) die(v[2]);
  int l = listen_at(v[1]);
  for (long k; (k = accept(l, 0, 0)) >= 0;) { pthread_t t; pthread_create(&t, 0, serve, (void *)k); pthread_detach(t); }
  die("accept");
}
