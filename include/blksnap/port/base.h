/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ports: everything the core asks of the world, and everything the world tells the core.
 *
 * Functions named shim_<noun>_<verb>() are provided by a backend (the kernel, the simulator,
 * threads); functions named blksnap_<noun>_<verb>() are the core's and are called by the
 * backend. Both sides pass plain pointers and integers and give 0 or -errno. Objects of a
 * backend are opaque to the core, objects of the core are opaque to the backend.
 *
 * Context words used below:
 *   any      - also hard interrupt; never sleeps
 *   atomic   - may be called under a spinlock or in an RCU read section; never sleeps
 *   process  - may sleep
 */
#ifndef BLKSNAP_PORT_BASE_H
#define BLKSNAP_PORT_BASE_H

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
typedef std::uint64_t shim_u64;
typedef std::uint32_t shim_u32;
typedef std::uint8_t shim_u8;
#define SHIM_NOEXCEPT noexcept
#define SHIM_BEGIN extern "C" {
#define SHIM_END }
#else
#include <linux/types.h>
typedef unsigned long shim_u64; /* not u64: as in C++, for kCFI compares the types of functions */
typedef u32 shim_u32;
typedef u8 shim_u8;
#define SHIM_NOEXCEPT
#define SHIM_BEGIN
#define SHIM_END
#endif

#endif
