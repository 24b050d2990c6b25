/* SPDX-License-Identifier: GPL-2.0 */
/* Port: memory. Every allocation can fail. */
#ifndef BLKSNAP_PORT_MEMORY_H
#define BLKSNAP_PORT_MEMORY_H

#include <blksnap/port/base.h>

enum shim_gfp {
	SHIM_GFP_KERNEL, /* may sleep, may start I/O */
	SHIM_GFP_NOIO,	 /* may sleep, starts no I/O */
	SHIM_GFP_NOWAIT, /* never sleeps, no warning on failure */
};

/* A page of 4096 bytes: the grain of copies. */
struct page;

SHIM_BEGIN
/* Uninitialised memory, aligned to 16 bytes; NULL on failure. Context: as @gfp says. */
void *shim_memory_alloc(size_t bytes, unsigned gfp) SHIM_NOEXCEPT;
/* Context: any. NULL is allowed. */
void shim_memory_free(void *memory) SHIM_NOEXCEPT;

/* Zeroed, possibly large, virtually contiguous. Context: process. */
void *shim_memory_alloc_large(size_t bytes) SHIM_NOEXCEPT;
/* Context: process. NULL is allowed. */
void shim_memory_free_large(void *memory) SHIM_NOEXCEPT;

struct page *shim_page_alloc(unsigned gfp) SHIM_NOEXCEPT;
/* Context: any. */
void shim_page_free(struct page *page) SHIM_NOEXCEPT;
/* Context: any. */
void shim_page_zero(struct page *page, shim_u32 offset, shim_u32 bytes) SHIM_NOEXCEPT;
SHIM_END

#endif
