// SPDX-License-Identifier: GPL-2.0
//
// Agent: one snapshot after the other, with all that a backup does to it, and judges what it sees.
#include <script/image_model.hpp>
#include <script/ioctl.hpp>

#include <algorithm>
#include <optional>
#include <thread>

namespace threads
{

namespace
{

// What a backup remembers of the one before.
struct Backup {
	blk_snap_uuid generation;
	u8 number;
	std::vector<u64> seen;
};

class Agent
{
public:
	Agent(Stop &stop, std::vector<u32> origins, u32 store)
		: stop_(stop), origins_(std::move(origins)), store_(store), last_(kOrigins)
	{
	}
	void run();

private:
	void round();
	bool create();
	bool append(u64 sectors);
	void append_on_origin();
	bool take();
	void take_against_destroy();
	void use();
	void look_around();
	bool read_all(ImageModel &model);
	void check_turns();
	void check_map(ImageModel &model);
	void destroy();
	std::vector<std::thread> start_readers(Stop &stop);

	Stop &stop_;
	const std::vector<u32> origins_;
	const u32 store_;
	std::vector<std::optional<Backup>> last_; // by origin
	Beat beat_{"an agent"};

	// Of the present snapshot
	ioctl::Id id_{};
	std::vector<blk_snap_dev> devices_;
	std::vector<std::unique_ptr<ImageModel>> models_;
	u64 appended_ = 0;
	u64 on_origin_ = 0;    // 1: storage is put there after the take, 2: before
	Stop may_fail_{false}; // something was done that may cost the image
};

// Little memory and small limits are no failure of this test.
bool may_be_refused(long result)
{
	constexpr long kKilled = -4, kAgain = -11, kNoMem = -12, kBusy = -16, kTimedOut = -110;
	for (const long refusal : {kKilled, kAgain, kNoMem, kBusy, kTimedOut})
		if (result == refusal)
			return true;
	return false;
}

bool succeeds(long result, const char *what)
{
	if (result < 0 && !may_be_refused(result))
		fail("%s gives %ld", what, result);
	return result >= 0;
}

bool Agent::create()
{
	devices_.clear();
	for (u32 origin : origins_)
		if (devices_.empty() || !one_in(4))
			devices_.push_back({kDiskMajor, origin});
	return succeeds(ioctl::create(devices_, id_), "a create");
}

// In pieces, in an order that is not theirs.
bool Agent::append(u64 sectors)
{
	std::vector<blk_snap_block_range> ranges;
	for (const u64 end = std::min(appended_ + sectors, kStoreSectors); appended_ < end;) {
		const u64 count = std::min<u64>(end - appended_, 1 + below(2000));
		ranges.push_back({appended_, count});
		appended_ += count;
	}
	std::reverse(ranges.begin(), ranges.end());
	return ranges.empty() ||
	       succeeds(ioctl::append(id_, {kDiskMajor, store_}, ranges), "an append");
}

// Where the image shows zeroes from then on; an image that cannot be told so is lost.
void Agent::append_on_origin()
{
	may_fail_ = true;
	(void)succeeds(ioctl::append(id_, devices_[0], {{kSpare, kSpareSectors}}),
		       "an append on an origin");
}

bool Agent::take()
{
	std::vector<std::vector<u64>> least;
	for (const auto &device : devices_)
		least.push_back(versions(device.mn, true));
	const bool taken = succeeds(ioctl::take(id_), "a take");
	count_done(taken ? Done::Take : Done::FailedTake);
	std::vector<blk_snap_image_info> images;
	if (!taken || !succeeds(ioctl::collect_images(id_, images), "a look at the images"))
		return false;
	for (u32 i = 0; i < images.size(); i++) {
		const u32 origin = images[i].orig_dev_id.mn;
		auto image = find_device(images[i].image_dev_id.mj, images[i].image_dev_id.mn);
		if (!image || origin != devices_[i].mn)
			fail("an image of origin %u is not there", origin);
		models_.push_back(std::make_unique<ImageModel>(origin, std::move(image),
							       std::move(least[i]),
							       versions(origin, false), may_fail_));
	}
	return true;
}

void Agent::take_against_destroy()
{
	constexpr long kNoSnapshot = -3;
	std::thread taker([this] {
		const long result = ioctl::take(id_);
		if (result != kNoSnapshot)
			succeeds(result, "a take");
	});
	pause_us(3000);
	destroy();
	taker.join();
}

std::vector<std::thread> Agent::start_readers(Stop &stop)
{
	std::vector<std::thread> readers;
	for (auto &model : models_)
		for (const bool writes : {false, false, true})
			readers.emplace_back([&stop, &model = *model, writes] {
				run_reader(model, stop, writes);
			});
	return readers;
}

bool Agent::read_all(ImageModel &model)
{
	for (u64 sector = 0; sector < kOriginSectors;) {
		beat_.alive();
		const auto sectors =
			static_cast<u32>(std::min<u64>(kOriginSectors - sector, 1 + below(200)));
		if (!model.read(sector, sectors, 1))
			return false;
		sector += sectors;
	}
	return true;
}

// Origins are written to in turn: each is at most one version behind the one before it.
void Agent::check_turns()
{
	for (u32 i = 0; i + 1 < models_.size(); i++) {
		const u64 first = models_[i]->seen[kTurnSector];
		const u64 second = models_[i + 1]->seen[kTurnSector];
		if (second != first && second + 1 != first)
			fail("images are not of one instant: version %llu of origin %u, %llu of %u",
			     static_cast<unsigned long long>(version_of(first)), models_[i]->origin,
			     static_cast<unsigned long long>(version_of(second)),
			     models_[i + 1]->origin);
	}
}

// What differs from the last backup of this generation is marked as changed since.
void Agent::check_map(ImageModel &model)
{
	const blk_snap_dev device{kDiskMajor, model.origin};
	auto &last = last_[model.origin];
	std::vector<blk_snap_cbt_info> trackers;
	std::vector<u8> map;
	if (!succeeds(ioctl::collect_trackers(trackers), "a look at the trackers") ||
	    !succeeds(ioctl::read_map(device, map), "the map"))
		return;
	const auto info = std::find_if(trackers.begin(), trackers.end(), [&](const auto &tracker) {
		return tracker.dev_id.mn == model.origin;
	});
	if (info == trackers.end() || map.size() != info->blk_count)
		fail("origin %u has no map", model.origin);
	std::vector<u64> seen(kOriginSectors);
	for (u64 i = 0; i < kOriginSectors; i++)
		seen[i] = model.seen[i].load(std::memory_order_relaxed);
	const bool comparable = last && !std::memcmp(&last->generation, &info->generation_id, 16);
	for (u64 i = 0; comparable && i < kOriginSectors; i++)
		if (!ImageModel::is_free(i) && seen[i] != last->seen[i] &&
		    map[i * 512 / info->blk_size] <= last->number)
			fail("origin %u sector %llu has changed since snapshot %u; the map says %u",
			     model.origin, static_cast<unsigned long long>(i), last->number,
			     map[i * 512 / info->blk_size]);
	last = Backup{info->generation_id, info->snap_number, std::move(seen)};
}

void Agent::look_around()
{
	u32 code;
	(void)ioctl::wait_event(id_, 5, code);
	(void)ioctl::mark_dirty(devices_[0], {below(kOriginSectors), 1 + below(50)});
	if (one_in(2))
		append(500);
	if (on_origin_ == 1)
		append_on_origin();
}

void Agent::use()
{
	Stop stop{false};
	auto readers = start_readers(stop);
	bool complete = true;

	look_around();
	for (auto &model : models_) {
		const bool read = read_all(*model);
		complete &= read;
		if (read)
			check_map(*model);
		else
			count_done(Done::LostImage);
	}
	if (complete)
		check_turns();
	if (one_in(2)) { // under the eyes of its readers
		may_fail_ = true;
		destroy();
	}
	stop = true;
	for (auto &reader : readers)
		reader.join();
}

void Agent::destroy()
{
	constexpr long kNoSnapshot = -19;
	const long result = ioctl::destroy(id_);
	if (result && result != kNoSnapshot)
		fail("a destroy gives %ld", result);
	disk(store_).fails_writes.store(false, std::memory_order_relaxed);
}

void Agent::round()
{
	const bool tiny = one_in(10);
	const bool failing = one_in(10);

	beat_.alive();
	models_.clear();
	appended_ = 0;
	may_fail_ = tiny || failing;
	on_origin_ = below(8);
	if (!create())
		return;
	if (append(tiny ? 200 : kStoreSectors - 600)) {
		disk(store_).fails_writes.store(failing, std::memory_order_relaxed);
		if (on_origin_ == 2)
			append_on_origin();
		if (one_in(10))
			return take_against_destroy();
		if (take())
			use();
	}
	// The unload finds one that is left.
	if (!stop_.load(std::memory_order_relaxed))
		destroy();
	if (one_in(6))
		(void)ioctl::remove_tracker(devices_[0]);
}

void Agent::run()
{
	while (!stop_.load(std::memory_order_relaxed))
		round();
}

} // namespace

void run_agent(Stop &stop, std::vector<u32> origins, u32 store)
{
	Agent(stop, std::move(origins), store).run();
	// What it left is of no use to whoever comes next.
	disk(store).fails_writes.store(false, std::memory_order_relaxed);
}

} // namespace threads
