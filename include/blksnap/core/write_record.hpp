// SPDX-License-Identifier: GPL-2.0
//
// WriteRecord: an admitted write, from the hook to its completion.
//
// The completion reads nothing from the bio but this record: stacked drivers remap the bio to
// other devices meanwhile (hazards: raid0, bcache). Records come from the slot of the
// CPU, then from the allocator without waiting, then from a reserve of the disk; a write that finds
// none is parked, not failed.
#pragma once

#include <blksnap/base/list.hpp>
#include <blksnap/core/in_flight.hpp>
#include <blksnap/port/bio.h>

namespace blksnap
{

class Disk;
struct WriteRecord;

using WritesInFlight = InFlight<WriteRecord>;

struct WriteRecord {
	shim_bio_saved saved; // first: the port hands this address back
	Disk *disk = nullptr;
	WritesInFlight::Slot *slot = nullptr; // set while counted
	WriteRecord *next_spare = nullptr;

	WriteRecord() {} // leaves `saved` unset: admission fills it

	static WriteRecord &from(shim_bio_saved *saved)
	{
		return *reinterpret_cast<WriteRecord *>(saved);
	}
};

// The reserve of one disk. Externally locked.
class RecordReserve
{
public:
	static constexpr u32 kRecords = 64;

	RecordReserve() = default;
	RecordReserve(const RecordReserve &) = delete;
	RecordReserve &operator=(const RecordReserve &) = delete;
	~RecordReserve()
	{
		while (WriteRecord *record = take())
			destroy(record);
	}

	bool wants() const { return count_ < kRecords; }
	WriteRecord *take()
	{
		WriteRecord *record = head_;
		if (record) {
			head_ = record->next_spare;
			count_--;
		}
		return record;
	}
	void give(WriteRecord &record)
	{
		record.next_spare = head_;
		head_ = &record;
		count_++;
	}

private:
	WriteRecord *head_ = nullptr;
	u32 count_ = 0;
};

} // namespace blksnap
