// SPDX-License-Identifier: GPL-2.0
//
// Bios of the simulated block layer, with the facts about them that the core asks for.
#pragma once

#include <vector>
#include <world/device.hpp>
#include <world/memory.hpp>

namespace sim
{

enum class Op : u8 { Read, Write, WriteZeroes, Erase, Discard, Flush };

constexpr bool changes_data(Op op)
{
	return op != Op::Read;
}

constexpr bool has_data(Op op)
{
	return op == Op::Read || op == Op::Write;
}

// What of the core a request is for, also as a part or clone of its own bio.
enum class CoreUse : u8 { None, Copy, Image };

enum class BioLife : u8 { Made, Submitted, Ended };

} // namespace sim

struct bio {
	using EndIo = void (*)(bio *);

	sim::Device *device = nullptr;
	sim::u64 sector = 0; // on the device; absolute on its disk once `remapped`
	sim::u32 sectors = 0;
	sim::Op op = sim::Op::Read;
	sim::BioLife life = sim::BioLife::Made;
	bool remapped = false;
	bool own = false; // from the core's own pool
	sim::CoreUse core_use = sim::CoreUse::None;
	bool nowait = false;
	bool parked = false;  // held by the core
	bool counted = false; // among the writes in flight of its disk

	int status = 0; // positive errno
	sim::u32 remaining = 1;
	EndIo end_io = nullptr;
	void *private_data = nullptr;
	bio *next = nullptr;

	// The stamps of a write, or room for those of a read: one array or pages. `skip` sectors of
	// it belong to parts that were split off before.
	sim::u64 *data = nullptr;
	std::vector<page *> pages;
	sim::u32 skip = 0;

	sim::u64 stamp_write = 0; // id of the write that a bio without data stands for
	void *io = nullptr;	  // the own I/O around it
	sim::u64 id = 0;

	sim::u64 &cell(sim::u32 index)
	{
		const sim::u32 at = index + skip;
		return data ? data[at] : pages[at / kSectorsPerPage]->stamp[at % kSectorsPerPage];
	}
	bool has_buffer() const { return data || !pages.empty(); }
};

namespace sim
{

// Where the sector of a bio is on the disk of its device.
inline u64 absolute_sector(const bio &bio)
{
	const bool partition = bio.device->kind == DeviceKind::Partition;
	return bio.sector + (partition && !bio.remapped ? bio.device->lower_start : 0);
}

} // namespace sim
