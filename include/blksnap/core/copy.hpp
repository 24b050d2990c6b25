// SPDX-License-Identifier: GPL-2.0
//
// Copy: the old content of a run of adjacent blocks, on its way from the origin to the store.
//
//     Queued ── read submitted ──> Reading ── read done ──> Buffered ── all stored ──> gone
//
// Until it is Buffered, writes to its blocks are parked on it; from then on readers of the image
// take its pages. Its blocks are in the chunk map before it goes. Buffers belong to copies, never
// to bios: a parked bio holds none, so bios cannot starve each other.
#pragma once

#include <blksnap/base/list.hpp>
#include <blksnap/base/memory.hpp>
#include <blksnap/core/bio_list.hpp>
#include <blksnap/core/io.hpp>

namespace blksnap
{

class DiffArea;

constexpr u32 kBlockShift = 12;
constexpr u32 kSectorsPerBlock = 1u << (kBlockShift - kSectorShift);
static_assert(kPageBytes == 1u << kBlockShift, "a block is a page");

// For whom a copy is made.
enum class CopyUse : u8 { Origin, Image };

struct Copy final : IoOwner {
	// A copy lies within one aligned region of this many blocks: one bio can move it, and the
	// table of copies is hashed by region.
	static constexpr u32 kRegionBlocks = 256;

	enum class State : u8 { Queued, Reading, Buffered };

	DiffArea &area;
	const u32 capacity; // pages there is room for
	const bool spare;   // from the reserve of its budget
	const CopyUse use;
	State state = State::Queued;
	bool in_store = false; // the store worker or a store write refers to it
	bool nowait = false;   // to be read, or being read, so that nobody waits in submission
	u32 blocks = 0;
	u64 first = 0;		// block number on the device
	u32 pins = 0;		// image readers in its pages
	u32 assigned = 0;	// blocks given to store writes; guarded by the storage
	u32 stores_left = 0;	// store writes in flight; guarded by the storage
	BioList origin_waiters; // until Buffered
	BioList image_waiters;	// image writes: until Buffered, then until stored
	ListHook origin_waited_hook;
	ListHook image_waited_hook;
	ListHook table_hook;
	ListHook queue_hook; // to be read, then to be stored
	Copy *next_in_read = nullptr;
	page *pages[];

	u64 end() const { return first + blocks; }

	static Copy *create(DiffArea &area, CopyUse use, u32 capacity, bool spare, Gfp gfp)
	{
		void *memory = shim_memory_alloc(sizeof(Copy) + capacity * sizeof(page *),
						 static_cast<unsigned>(gfp));
		return memory ? new (memory) Copy(area, use, capacity, spare) : nullptr;
	}

private:
	Copy(DiffArea &owner, CopyUse user, u32 room, bool is_spare)
		: IoOwner(IoKind::CopyRead), area(owner), capacity(room), spare(is_spare), use(user)
	{
	}
};

using CopyQueue = IntrusiveList<Copy, &Copy::queue_hook>;

} // namespace blksnap
