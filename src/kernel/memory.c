// SPDX-License-Identifier: GPL-2.0
/*
 * Memory port: slab, vmalloc and pages.
 *
 * SHIM_GFP_NOWAIT has a fallback wherever the core uses it, so it leaves the emergency reserves
 * to others even when the submitter is kswapd itself.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <blksnap/port/memory.h>

static_assert(PAGE_SIZE == 4096, "the grain of copies is one page");

static const gfp_t kinds[] = {
	[SHIM_GFP_KERNEL] = GFP_KERNEL,
	[SHIM_GFP_NOIO] = GFP_NOIO,
	[SHIM_GFP_NOWAIT] = GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NOWARN,
};

/* Slab caches whose size is a power of two are aligned to it. Of the others only those of 96 and
 * 192 bytes could give less than 16 on debugging kernels. */
static size_t aligned_size(size_t bytes)
{
	if (bytes > 192)
		return bytes;
	return roundup_pow_of_two(max_t(size_t, bytes, 16));
}

void *shim_memory_alloc(size_t bytes, unsigned gfp)
{
	return kmalloc(aligned_size(bytes), kinds[gfp]);
}

void shim_memory_free(void *memory)
{
	kfree(memory);
}

void *shim_memory_alloc_large(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL | __GFP_NOWARN);
}

void shim_memory_free_large(void *memory)
{
	kvfree(memory);
}

struct page *shim_page_alloc(unsigned gfp)
{
	return alloc_page(kinds[gfp]);
}

void shim_page_free(struct page *page)
{
	__free_page(page);
}

void shim_page_zero(struct page *page, shim_u32 offset, shim_u32 bytes)
{
	memzero_page(page, offset, bytes);
}
