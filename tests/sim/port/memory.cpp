// SPDX-License-Identifier: GPL-2.0
//
// Port: memory. Each allocation is a scheduling point and may be refused.
#include <blksnap/port/memory.h>

#include <port/handles.hpp>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

namespace
{

bool refused(unsigned gfp)
{
	if (gfp != SHIM_GFP_NOWAIT) {
		scheduler().might_sleep("an allocation");
		scheduler().point();
	}
	return world().memory.refuses(world().random, gfp == SHIM_GFP_NOWAIT);
}

} // namespace

void *shim_memory_alloc(size_t bytes, unsigned gfp) noexcept
{
	return refused(gfp) ? nullptr : world().memory.alloc(bytes, false);
}

void shim_memory_free(void *memory) noexcept
{
	world().memory.free(memory);
}

void *shim_memory_alloc_large(size_t bytes) noexcept
{
	return refused(SHIM_GFP_KERNEL) ? nullptr : world().memory.alloc(bytes, true);
}

void shim_memory_free_large(void *memory) noexcept
{
	if (memory)
		scheduler().might_sleep("freeing a large allocation");
	world().memory.free(memory);
}

struct page *shim_page_alloc(unsigned gfp) noexcept
{
	if (refused(gfp))
		return nullptr;
	auto *page = static_cast<struct page *>(world().memory.alloc(sizeof(struct page), false));
	for (u64 &stamp : page->stamp)
		stamp = kGarbageStamp;
	page->canary = kPageCanary;
	world().live_pages++;
	return page;
}

void shim_page_zero(struct page *page, shim_u32 offset, shim_u32 bytes) noexcept
{
	if (page->canary != kPageCanary || offset % 512 || bytes % 512 || offset + bytes > 4096)
		fail("memory", "%u+%u of something is zeroed", offset, bytes);
	for (u32 i = 0; i < bytes / 512; i++)
		page->stamp[offset / 512 + i] = 0;
}

void shim_page_free(struct page *page) noexcept
{
	if (page->canary != kPageCanary)
		fail("memory", "free of something that is no page");
	world().live_pages--;
	world().memory.free(page);
}
