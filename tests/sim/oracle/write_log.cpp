// SPDX-License-Identifier: GPL-2.0
//
// WriteLog: see the header.
#include <oracle/write_log.hpp>

#include <algorithm>
#include <world/report.hpp>
#include <world/stamp.hpp>
#include <world/world.hpp>

namespace sim
{

WriteLog::WriteLog()
{
	initial_.completed = 0;
	initial_.sectors = ~u32{0};
	writes_.push_back(initial_);
}

u64 WriteLog::begin(Device &device, Op op, u64 sector, u32 sectors, const bio *request,
		    std::vector<const bio *> parts)
{
	Device &bottom = *device.bottom();
	Write write;
	write.id = writes_.size();
	write.op = op;
	write.disk = bottom.id;
	write.sector = sector + device.bottom_start();
	write.sectors = sectors;
	write.submitted = tick();
	write.request = request;
	write.parts = std::move(parts);
	writes_.push_back(write);
	pending_.push_back(write.id);
	if (by_block_.size() <= bottom.id)
		by_block_.resize(bottom.id + 1);
	auto &blocks = by_block_[bottom.id];
	const u64 room = std::max<u64>(bottom.sectors, bottom.content.size());
	if (blocks.size() < room / 8 + 1)
		blocks.resize(room / 8 + 1);
	if (!sectors || write.sector + sectors > room)
		return write.id;
	for (u64 block = write.sector / 8; block <= (write.sector + sectors - 1) / 8; block++)
		blocks[block].push_back(write.id);
	return write.id;
}

void WriteLog::complete(u64 id, int status)
{
	Write &write = writes_[id];
	write.completed = tick();
	write.status = status;
	write.request = nullptr;
	std::erase(pending_, id);
}

const std::vector<u64> &WriteLog::history(const Device &disk, u64 sector) const
{
	static const std::vector<u64> kNone;
	if (disk.id >= by_block_.size() || sector / 8 >= by_block_[disk.id].size())
		return kNone;
	return by_block_[disk.id][sector / 8];
}

const Write &WriteLog::origin_of(const char *oracle, const Device &disk, u64 sector, u64 raw) const
{
	const Stamp stamp = Stamp::unpack(raw);
	const bool known = stamp.write < writes_.size() && stamp.is_of(disk.id) &&
			   stamp.sector == sector && writes_[stamp.write].covers(sector);
	if (!known)
		fail(oracle,
		     "%s sector %llu holds foreign content %016llx (write %llu of disk %u "
		     "sector %u)",
		     disk.name.c_str(), (unsigned long long)sector, (unsigned long long)raw,
		     (unsigned long long)stamp.write, stamp.disk, stamp.sector);
	return writes_[stamp.write];
}

void WriteLog::check_read(const char *oracle, const Device &disk, u64 sector, u64 raw, u64 begin,
			  u64 end) const
{
	const Write &seen = origin_of(oracle, disk, sector, raw);
	if (seen.submitted > end)
		fail(oracle, "%s sector %llu shows write %llu before it was made",
		     disk.name.c_str(), (unsigned long long)sector, (unsigned long long)seen.id);
	for (u64 id : history(disk, sector)) {
		const Write &other = writes_[id];
		if (other.covers(sector) && other.settles() && other.submitted > seen.completed &&
		    other.completed < begin)
			fail(oracle,
			     "%s sector %llu shows write %llu, but write %llu came after it "
			     "and had completed",
			     disk.name.c_str(), (unsigned long long)sector,
			     (unsigned long long)seen.id, (unsigned long long)id);
	}
}

Instant WriteLog::instant_of(const Device &disk, u64 sector, u64 raw) const
{
	const Write &seen = origin_of("image", disk, sector, raw);
	Instant instant{seen.submitted, kNever};
	for (u64 id : history(disk, sector)) {
		const Write &other = writes_[id];
		if (other.covers(sector) && other.settles() && other.submitted > seen.completed)
			instant.before = std::min(instant.before, other.completed);
	}
	return instant;
}

u64 WriteLog::first_settled(const Device &disk, u64 sector) const
{
	u64 first = kNever;
	for (u64 id : history(disk, sector))
		if (writes_[id].covers(sector) && writes_[id].settles())
			first = std::min(first, writes_[id].completed);
	return first;
}

namespace
{

// One that is parked on this very disk will be decided anew, by all that is there then. One parked
// further down has passed this device for good.
bool waits_above(const bio &request, Device &device)
{
	return request.parked && request.device->whole() == device.whole();
}

} // namespace

bool WriteLog::in_flight_before(u64 limit, Device &device) const
{
	const u32 disk = device.bottom()->id;
	for (u64 id : pending_) {
		const Write &write = writes_[id];
		if (write.disk != disk || write.submitted >= limit || !write.request)
			continue;
		if (!waits_above(*write.request, device))
			return true;
		for (const bio *part : write.parts)
			if (part->life != BioLife::Ended && !waits_above(*part, device))
				return true;
	}
	return false;
}

} // namespace sim
