// SPDX-License-Identifier: GPL-2.0
//
// The C interface: each function guards one call of the library. Exceptions end here.
#include "c_guard.hpp"

#include <blksnap/cbt_map.hpp>
#include <blksnap/file_extents.hpp>
#include <blksnap/snapshot.hpp>

#include <string>

namespace blksnap::c_api
{

namespace
{

using c_api::to_c; // beside those below, not hidden by them

thread_local std::string last_error;

blksnap_tracker to_c(const TrackerInfo &tracker)
{
	return {.device = to_c(tracker.device),
		.block_size_bytes = tracker.block_size_bytes,
		.block_count = tracker.block_count,
		.capacity_bytes = tracker.capacity_bytes,
		.generation = to_c(tracker.generation),
		.snapshot_number = tracker.snapshot_number};
}

blksnap_range to_c(const SectorRange &range)
{
	return {range.offset_sectors, range.count_sectors};
}

blksnap_image to_c(const Image &image)
{
	return {.original = to_c(image.original), .image = to_c(image.image)};
}

int to_c(NoEvent none)
{
	switch (none) {
	case NoEvent::Timeout:
		return remember(ENOENT, "no event arrived in time");
	case NoEvent::Interrupted:
		return remember(EINTR, "a signal arrived");
	case NoEvent::NotFound:
		break;
	}
	return remember(ESRCH, "there is no such snapshot");
}

// The list of a snapshot that is not taken would look like that of one without devices.
std::vector<Image> images_of_taken(const Control &control, const Uuid &id)
{
	if (auto images = collect_images(control, id))
		return *std::move(images);
	throw Error{ENODEV, "cannot list the images of snapshot", id.to_string(),
		    "it is not taken yet", "take it first"};
}

} // namespace

int remember(int code, const char *line) noexcept
{
	try {
		last_error = line;
	} catch (...) {
		last_error.clear();
	}
	return -code;
}

blksnap_event to_c(const Event &event)
{
	blksnap_event result{};
	result.kind = BLKSNAP_EVENT_UNKNOWN;
	result.time_ns = event.time_ns;
	if (const auto *low = std::get_if<LowFreeSpace>(&event.data)) {
		result.kind = BLKSNAP_EVENT_LOW_FREE_SPACE;
		result.requested_sectors = low->requested_sectors;
	}
	if (const auto *corrupted = std::get_if<Corrupted>(&event.data)) {
		result.kind = BLKSNAP_EVENT_CORRUPTED;
		result.original = to_c(corrupted->original);
		result.error = corrupted->error;
	}
	return result;
}

} // namespace blksnap::c_api

using namespace blksnap;
using namespace blksnap::c_api;

const char *blksnap_error(void)
{
	return last_error.c_str();
}

int blksnap_open(struct blksnap_control **control)
{
	return guarded([&] {
		*control = new blksnap_control{Control::open()};
		return 0;
	});
}

void blksnap_close(struct blksnap_control *control)
{
	delete control;
}

void blksnap_free(void *array)
{
	std::free(array);
}

int blksnap_version(struct blksnap_control *control, uint16_t version[4])
{
	return guarded([&] {
		const auto got = control->control.version();
		const std::uint16_t parts[]{got.major, got.minor, got.revision, got.build};
		std::copy(std::begin(parts), std::end(parts), version);
		return 0;
	});
}

// --- names -----------------------------------------------------------------------------------

int blksnap_resolve_device(const char *argument, struct blksnap_device *device)
{
	return guarded([&] {
		*device = to_c(resolve_device(argument).id);
		return 0;
	});
}

int blksnap_id_format(const struct blksnap_id *id, char text[BLKSNAP_ID_TEXT_SIZE])
{
	return guarded([&] {
		const auto formatted = from_c(*id).to_string();
		std::copy_n(formatted.c_str(), BLKSNAP_ID_TEXT_SIZE, text);
		return 0;
	});
}

int blksnap_id_parse(const char *text, struct blksnap_id *id)
{
	return guarded([&] {
		*id = to_c(Uuid::parse(text));
		return 0;
	});
}

// --- snapshots -------------------------------------------------------------------------------

int blksnap_snapshot_create(struct blksnap_control *control, const struct blksnap_device *devices,
			    size_t count, struct blksnap_id *id)
{
	return guarded([&] {
		*id = to_c(create_snapshot(control->control, named(devices, count)));
		return 0;
	});
}

int blksnap_snapshot_append_ranges(struct blksnap_control *control, const struct blksnap_id *id,
				   const struct blksnap_device *device,
				   const struct blksnap_range *ranges, size_t count)
{
	return guarded([&] {
		append_storage(control->control, from_c(*id), named(*device),
			       from_c(ranges, count));
		return 0;
	});
}

int blksnap_snapshot_append_file(struct blksnap_control *control, const struct blksnap_id *id,
				 const char *path)
{
	return guarded([&] {
		const auto extents = find_file_extents(path, ExtentUse::Storage);
		append_storage(control->control, from_c(*id), extents.device, extents.ranges);
		return 0;
	});
}

int blksnap_snapshot_take(struct blksnap_control *control, const struct blksnap_id *id)
{
	return guarded([&] {
		take_snapshot(control->control, from_c(*id));
		return 0;
	});
}

int blksnap_snapshot_destroy(struct blksnap_control *control, const struct blksnap_id *id)
{
	return guarded([&] {
		destroy_snapshot(control->control, from_c(*id));
		return 0;
	});
}

int blksnap_snapshot_list(struct blksnap_control *control, struct blksnap_id **ids, size_t *count)
{
	return guarded([&] {
		give<blksnap_id, Uuid>(collect_snapshots(control->control), ids, count, to_c);
		return 0;
	});
}

int blksnap_snapshot_images(struct blksnap_control *control, const struct blksnap_id *id,
			    struct blksnap_image **images, size_t *count)
{
	return guarded([&] {
		give<blksnap_image, Image>(images_of_taken(control->control, from_c(*id)), images,
					   count, to_c);
		return 0;
	});
}

int blksnap_snapshot_image(struct blksnap_control *control, const struct blksnap_id *id,
			   const struct blksnap_device *original, struct blksnap_device *image)
{
	return guarded([&] {
		*image = to_c(find_image(control->control, from_c(*id), named(*original)).image);
		return 0;
	});
}

int blksnap_snapshot_wait_event(struct blksnap_control *control, const struct blksnap_id *id,
				uint32_t timeout_ms, struct blksnap_event *event)
{
	return guarded([&] {
		const std::chrono::duration<std::uint32_t, std::milli> timeout{timeout_ms};
		const auto answer = wait_event(control->control, from_c(*id), timeout);
		if (const auto *none = std::get_if<NoEvent>(&answer))
			return to_c(*none);
		*event = to_c(std::get<Event>(answer));
		return 0;
	});
}

// --- trackers --------------------------------------------------------------------------------

int blksnap_tracker_list(struct blksnap_control *control, struct blksnap_tracker **trackers,
			 size_t *count)
{
	return guarded([&] {
		give<blksnap_tracker, TrackerInfo>(collect_trackers(control->control), trackers,
						   count, to_c);
		return 0;
	});
}

int blksnap_tracker_find(struct blksnap_control *control, const struct blksnap_device *device,
			 struct blksnap_tracker *tracker)
{
	return guarded([&] {
		const auto found = find_tracker(control->control, from_c(*device));
		if (!found)
			return remember(ENODATA, "the device is not tracked");
		*tracker = to_c(*found);
		return 0;
	});
}

int blksnap_tracker_remove(struct blksnap_control *control, const struct blksnap_device *device)
{
	return guarded([&] {
		remove_tracker(control->control, named(*device));
		return 0;
	});
}

int blksnap_tracker_mark_dirty(struct blksnap_control *control, const struct blksnap_device *device,
			       const struct blksnap_range *ranges, size_t count)
{
	return guarded([&] {
		mark_dirty(control->control, named(*device), from_c(ranges, count));
		return 0;
	});
}

int blksnap_tracker_changes(struct blksnap_control *control, const struct blksnap_device *device,
			    const struct blksnap_id *generation, uint8_t since,
			    struct blksnap_range **ranges, size_t *count,
			    struct blksnap_tracker *tracker)
{
	return guarded([&] {
		const auto map = CbtMap::read(control->control, named(*device));
		if (tracker)
			*tracker = to_c(map.tracker);
		const auto changes = generation ? map.changed_since(from_c(*generation), since)
						: map.changed_since(since);
		give<blksnap_range, SectorRange>(changes, ranges, count, to_c);
		return 0;
	});
}
