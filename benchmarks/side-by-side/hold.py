#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps a file in the page cache until it is ended: maps and locks it (mlock(2)), says "held", and waits.

A machine that takes back memory not used of late drops parts of the image otherwise, and the origin then reads the disk,
for up to a quarter of a copy's time.
"""
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
fd = os.open(sys.argv[1], os.O_RDONLY); size = os.fstat(fd).st_size
at = libc.mmap(None, size, 1, 1, fd, 0)   # PROT_READ, MAP_SHARED
if at == ctypes.c_void_p(-1).value or libc.mlock(at, size): raise OSError(ctypes.get_errno(), "cannot hold " + sys.argv[1])
print("held", flush=True); signal.pause()
