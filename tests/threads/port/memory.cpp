// SPDX-License-Identifier: GPL-2.0
//
// Port: memory. What may not sleep is refused at times, what may only rarely; what starts no I/O never,
// for an image would be lost by it.
#include <blksnap/port/memory.h>

#include <cstdlib>
#include <cstring>
#include <machine/machine.hpp>

using namespace threads;

namespace
{

bool refused(unsigned gfp)
{
	if (gfp == SHIM_GFP_NOWAIT)
		return one_in(40);
	check_may_sleep("an allocation");
	return gfp == SHIM_GFP_KERNEL && one_in(3000);
}

void *allocate(size_t bytes, int fill)
{
	void *memory = std::malloc(bytes);
	if (!memory)
		fail("the host is out of memory");
	std::memset(memory, fill, bytes);
	count_live(Live::Memory, 1);
	return memory;
}

void release(void *memory)
{
	if (!memory)
		return;
	count_live(Live::Memory, -1);
	std::free(memory);
}

} // namespace

void *shim_memory_alloc(size_t bytes, unsigned gfp) noexcept
{
	return refused(gfp) ? nullptr : allocate(bytes, 0xa5);
}

void shim_memory_free(void *memory) noexcept
{
	release(memory);
}

void *shim_memory_alloc_large(size_t bytes) noexcept
{
	return refused(SHIM_GFP_KERNEL) ? nullptr : allocate(bytes, 0);
}

void shim_memory_free_large(void *memory) noexcept
{
	if (memory)
		check_may_sleep("freeing a large allocation");
	release(memory);
}

struct page *shim_page_alloc(unsigned gfp) noexcept
{
	if (refused(gfp))
		return nullptr;
	count_live(Live::Page, 1);
	auto *page = new struct page;
	std::memset(page, 0xa5, sizeof(*page));
	return page;
}

void shim_page_free(struct page *page) noexcept
{
	count_live(Live::Page, -1);
	delete page;
}

void shim_page_zero(struct page *page, shim_u32 offset, shim_u32 bytes) noexcept
{
	for (u32 i = 0; i < bytes / 512; i++)
		page->stamp[offset / 512 + i] = 0;
}
