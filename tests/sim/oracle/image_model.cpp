// SPDX-License-Identifier: GPL-2.0
//
// ImageModel: see the header.
#include <oracle/image_model.hpp>

#include <algorithm>
#include <world/report.hpp>
#include <world/stamp.hpp>
#include <world/world.hpp>

namespace sim
{

namespace
{

constexpr int kIo = 5;

// A range is trimmed inwards to blocks: its edges may show the origin.
bool is_edge(u64 index, u64 count)
{
	return index < 8 || count - index <= 8;
}

} // namespace

ImageModel::ImageModel(SnapshotModel &snapshot, Device &origin, Device &image)
	: snapshot(snapshot), origin(origin), image(image), sectors(image.sectors),
	  cut_(sectors, kUnknown), zero_(sectors, Zero::No)
{
	world().images.push_back(this);
	for (const StoreRange &range : world().store_ranges) {
		if (range.disk != origin.bottom())
			continue;
		// What an ended store left there is nobody's business.
		each_sector(range.sector, range.sectors, [&](u64 sector, u64 index) {
			zero_[sector] = is_edge(index, range.sectors) || range.ended ? Zero::Maybe
										     : Zero::Yes;
		});
	}
}

ImageModel::~ImageModel()
{
	std::erase(world().images, this);
}

// Calls body(sector of the image, index in the range) for what of the range the image covers.
template <class F> void ImageModel::each_sector(u64 disk_sector, u64 count, F &&body)
{
	const u64 start = origin.bottom_start();
	for (u64 i = 0; i < count; i++)
		if (disk_sector + i >= start && disk_sector + i - start < sectors)
			body(disk_sector + i - start, i);
}

void ImageModel::on_store_offered(u64 disk_sector, u64 count)
{
	each_sector(disk_sector, count, [&](u64 sector, u64) {
		if (zero_[sector] == Zero::No)
			zero_[sector] = Zero::Maybe;
	});
}

void ImageModel::on_store_given(u64 disk_sector, u64 count)
{
	const u64 now = world().writes.tick();
	each_sector(disk_sector, count, [&](u64 sector, u64 index) {
		if (!is_edge(index, count))
			holes_.push_back({sector, 1, now});
	});
}

bool ImageModel::must_be_zero(u64 sector, u64 begin) const
{
	if (zero_[sector] == Zero::Yes)
		return true;
	for (const Hole &hole : holes_)
		if (sector - hole.first < hole.count && begin > hole.since)
			return true;
	return false;
}

bool ImageModel::plain(u64 sector, u32 count) const
{
	for (u32 i = 0; i < count; i++)
		if (!plain(sector + i))
			return false;
	return true;
}

void ImageModel::check_read(u64 sector, u64 raw, u64 begin, u64 end)
{
	if (world().settle_gave_up || exchanged)
		return;
	const Stamp stamp = Stamp::unpack(raw);
	if (must_be_zero(sector, begin)) {
		if (raw != 0)
			fail("image", "%s sector %llu lies in the store and shows %016llx",
			     image.name.c_str(), (unsigned long long)sector,
			     (unsigned long long)raw);
		return;
	}
	// What was seen there before a store was offered may be seen until it is given.
	const bool seen = cut_[sector] != kUnknown && !stamp.is_of(image.id);
	if (zero_[sector] == Zero::Maybe && (raw == 0 || !seen))
		return;
	if (stamp.write && stamp.is_of(image.id)) {
		world().writes.check_read("image-write", image, sector, raw, begin, end);
		return;
	}
	if (world().writes.first_settled(image, sector) < begin)
		fail("image-write", "%s sector %llu shows %016llx: a write to the image is lost",
		     image.name.c_str(), (unsigned long long)sector, (unsigned long long)raw);
	check_cut(sector, raw);
}

void ImageModel::check_cut(u64 sector, u64 raw)
{
	if (cut_[sector] == raw)
		return;
	if (cut_[sector] != kUnknown)
		fail("image",
		     "%s sector %llu showed %016llx (write %llu), now %016llx (write %llu)",
		     image.name.c_str(), (unsigned long long)sector,
		     (unsigned long long)cut_[sector], (unsigned long long)(cut_[sector] >> 36),
		     (unsigned long long)raw, (unsigned long long)(raw >> 36));
	cut_[sector] = raw;
	const u64 at = sector + origin.bottom_start();
	snapshot.narrow(world().writes.instant_of(*origin.bottom(), at, raw), *this, sector);
}

void ImageModel::on_error(u64 begin, int status)
{
	const Harm &harm = world().harm;
	if (snapshot.ending() || harm.explains_failure(*this, begin, status))
		return;
	seen_lost = true;
	if (status != kIo || !harm.explains_loss(*this))
		fail("availability", "%s gives error %d, and nothing went wrong",
		     image.name.c_str(), status);
}

void ImageModel::on_success(u64 begin)
{
	if (begin > corrupted_since)
		fail("corruption", "%s is readable after its corrupted event", image.name.c_str());
}

void ImageModel::on_corrupted_event(int error)
{
	if (error <= 0)
		fail("events", "a corrupted event with error %d", error);
	if (++corrupted_events > 1)
		fail("events", "a second corrupted event for %s", origin.name.c_str());
	corrupted_since = world().writes.tick();
	if (!world().harm.explains_loss(*this, error))
		fail("availability", "%s is corrupted (%d), and nothing went wrong",
		     image.name.c_str(), error);
}

ImageModel *SnapshotModel::image_of(const Device *origin)
{
	for (auto &image : images)
		if (&image->origin == origin)
			return image.get();
	return nullptr;
}

void SnapshotModel::on_event(u32 code, Device *origin, int error, u64 time_us)
{
	if (code == 0) {
		low_space_events++;
		return;
	}
	if (code != 1 || std::find(origins.begin(), origins.end(), origin) == origins.end())
		fail("events", "event %u for %s", code, origin ? origin->name.c_str() : "nobody");
	ImageModel *image = image_of(origin);
	if (!image)
		early_.push_back({origin, error, time_us});
	else if (time_us >= take_begin_us)
		image->on_corrupted_event(error);
}

void SnapshotModel::deliver_early()
{
	for (const Corrupted &event : early_)
		if (event.time_us >= take_begin_us)
			if (ImageModel *image = image_of(event.origin))
				image->on_corrupted_event(event.error);
	early_.clear();
}

void SnapshotModel::narrow(const Instant &seen, const ImageModel &image, u64 sector)
{
	const Instant old = instant;
	instant.after = std::max(instant.after, seen.after);
	instant.before = std::min(instant.before, seen.before);
	if (instant.after < instant.before)
		return;
	fail("instant",
	     "%s sector %llu says that the cut lies in (%llu, %llu), the other sectors "
	     "say (%llu, %llu); take ran in (%llu, %llu)",
	     image.image.name.c_str(), (unsigned long long)sector, (unsigned long long)seen.after,
	     (unsigned long long)seen.before, (unsigned long long)old.after,
	     (unsigned long long)old.before, (unsigned long long)take_begin,
	     (unsigned long long)take_end);
}

} // namespace sim
