// SPDX-License-Identifier: GPL-2.0
//
// Harm: see the header.
#include <oracle/harm.hpp>

#include <algorithm>
#include <iterator>
#include <oracle/image_model.hpp>
#include <world/world.hpp>

namespace sim
{

namespace
{

constexpr int kIo = 5;
constexpr int kWouldBlock = 11;
constexpr int kNoMemory = 12;
constexpr int kNoDevice = 19;
constexpr int kNoSpace = 28;
constexpr int kTimedOut = 110;

u64 taken(const ImageModel &image)
{
	return image.snapshot.take_begin;
}

bool overlaps(u64 first, u64 count, u64 other, u64 other_count)
{
	return first < other + other_count && other < first + count;
}

// Shrank, grew, got another medium, or went.
bool has_changed(const ImageModel &image)
{
	for (const Device *device = &image.origin; device; device = device->lower)
		if (device->changed > taken(image))
			return true;
	return image.origin.gone();
}

bool did_not_answer(const Device &disk, u64 since)
{
	return disk.hung || disk.resumed > since;
}

bool is_store_of(const StoreRange &range, const ImageModel &image)
{
	return !range.owner || range.owner == &image.snapshot;
}

bool has_hung(const ImageModel &image)
{
	if (did_not_answer(*image.origin.bottom(), taken(image)))
		return true;
	const auto &ranges = world().store_ranges;
	return std::any_of(ranges.begin(), ranges.end(), [&](const StoreRange &range) {
		return is_store_of(range, image) && did_not_answer(*range.disk, taken(image));
	});
}

} // namespace

void Harm::on_core_io_failed(const bio &bio)
{
	Device &device = *bio.device;
	const bool absolute = device.kind == DeviceKind::Partition && bio.remapped;
	if (bio.status == kWouldBlock)
		return;
	failed_.push_back({device.bottom(), bio.sector + (absolute ? 0 : device.bottom_start()),
			   bio.sectors, bio.op == Op::Read, bio.core_use,
			   world().writes.next_order()});
}

void Harm::on_refusal()
{
	last_refusal_ = world().writes.next_order();
}

bool Harm::is_on_origin(const FailedIo &io, const ImageModel &image)
{
	return io.read && io.disk == image.origin.bottom() &&
	       overlaps(io.sector, io.sectors, image.origin.bottom_start(), image.sectors);
}

bool Harm::is_in_store(const FailedIo &io, const ImageModel &image)
{
	const auto &ranges = world().store_ranges;
	return std::any_of(ranges.begin(), ranges.end(), [&](const StoreRange &range) {
		return range.disk == io.disk && is_store_of(range, image) &&
		       overlaps(io.sector, io.sectors, range.sector, range.sectors);
	});
}

bool Harm::has_failed_io(const ImageModel &image, CoreUse use, u64 since) const
{
	return std::any_of(failed_.rbegin(), failed_.rend(), [&](const FailedIo &io) {
		return io.use == use && io.order > since &&
		       (is_on_origin(io, image) || is_in_store(io, image));
	});
}

bool Harm::explains_loss(const ImageModel &image, int error) const
{
	switch (error) {
	case kIo:
		return has_failed_io(image, CoreUse::Copy, taken(image));
	case kNoMemory:
		return last_refusal_ > taken(image);
	case kNoDevice:
		return has_changed(image);
	case kNoSpace:
		return image.snapshot.store_may_be_short || world().store_may_be_short;
	case kTimedOut:
		return has_hung(image);
	default:
		return false;
	}
}

bool Harm::explains_loss(const ImageModel &image) const
{
	static constexpr int kErrors[] = {kIo, kNoMemory, kNoDevice, kNoSpace, kTimedOut};
	return std::any_of(std::begin(kErrors), std::end(kErrors),
			   [&](int error) { return explains_loss(image, error); });
}

bool Harm::explains_failure(const ImageModel &image, u64 begin, int status) const
{
	if (status == kNoMemory)
		return last_refusal_ > begin;
	return status == kIo && has_failed_io(image, CoreUse::Image, begin);
}

} // namespace sim
