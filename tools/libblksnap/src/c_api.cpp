// SPDX-License-Identifier: GPL-2.0
//
// The C interface: each function guards one call of the library. Exceptions end here.
#include <blksnap/blksnap_c.h>

#include <blksnap/cbt_map.hpp>
#include <blksnap/error.hpp>
#include <blksnap/event.hpp>
#include <blksnap/file_extents.hpp>
#include <blksnap/snapshot.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>

struct blksnap_control {
	blksnap::Control control;
};

namespace blksnap
{

namespace
{

thread_local std::string last_error;

int remember(int code, const char *line) noexcept
{
	try {
		last_error = line;
	} catch (...) {
		last_error.clear();
	}
	return -code;
}

// A code of 0 would be taken for success.
int code_of(const Error &error)
{
	return error.code() > 0 ? error.code() : EIO;
}

template <typename Call> int guarded(Call call) noexcept
{
	try {
		return call();
	} catch (const Error &error) {
		return remember(code_of(error), error.what());
	} catch (const std::bad_alloc &) {
		return remember(ENOMEM, "out of memory");
	} catch (const std::exception &error) {
		return remember(EIO, error.what());
	} catch (...) {
		return remember(EIO, "unknown error");
	}
}

DeviceId from_c(const blksnap_device &device)
{
	return {device.major, device.minor};
}

blksnap_device to_c(const DeviceId &id)
{
	return {id.major, id.minor};
}

Device named(const blksnap_device &device)
{
	const auto id = from_c(device);
	return {id, device_name(id)};
}

Uuid from_c(const blksnap_id &id)
{
	Uuid uuid;
	std::copy(std::begin(id.bytes), std::end(id.bytes), uuid.bytes.begin());
	return uuid;
}

blksnap_id to_c(const Uuid &uuid)
{
	blksnap_id id{};
	std::copy(uuid.bytes.begin(), uuid.bytes.end(), id.bytes);
	return id;
}

blksnap_tracker to_c(const TrackerInfo &tracker)
{
	return {.device = to_c(tracker.device),
		.block_size_bytes = tracker.block_size_bytes,
		.block_count = tracker.block_count,
		.capacity_bytes = tracker.capacity_bytes,
		.generation = to_c(tracker.generation),
		.snapshot_number = tracker.snapshot_number};
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

blksnap_range *copied(const std::vector<SectorRange> &ranges)
{
	// At least one, so that null means no memory.
	void *const memory = std::calloc(ranges.size() + 1, sizeof(blksnap_range));
	if (!memory)
		throw std::bad_alloc{};
	auto *const array = static_cast<blksnap_range *>(memory);
	std::transform(ranges.begin(), ranges.end(), array, [](const SectorRange &range) {
		return blksnap_range{range.offset_sectors, range.count_sectors};
	});
	return array;
}

} // namespace

} // namespace blksnap

using namespace blksnap;

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

int blksnap_resolve_device(const char *argument, struct blksnap_device *device)
{
	return guarded([&] {
		*device = to_c(resolve_device(argument).id);
		return 0;
	});
}

void blksnap_id_format(const struct blksnap_id *id, char text[37])
{
	guarded([&] {
		const auto formatted = from_c(*id).to_string();
		std::copy_n(formatted.c_str(), 37, text);
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

int blksnap_snapshot_create(struct blksnap_control *control, const struct blksnap_device *devices,
			    size_t count, struct blksnap_id *id)
{
	return guarded([&] {
		std::vector<Device> originals;
		for (const auto &device : std::span{devices, count})
			originals.push_back(named(device));
		*id = to_c(create_snapshot(control->control, originals));
		return 0;
	});
}

int blksnap_snapshot_append_ranges(struct blksnap_control *control, const struct blksnap_id *id,
				   const struct blksnap_device *device,
				   const struct blksnap_range *ranges, size_t count)
{
	return guarded([&] {
		std::vector<SectorRange> sectors;
		for (const auto &range : std::span{ranges, count})
			sectors.push_back({range.offset, range.count});
		append_storage(control->control, from_c(*id), named(*device), sectors);
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

int blksnap_tracker_changes(struct blksnap_control *control, const struct blksnap_device *device,
			    uint8_t since, struct blksnap_range **ranges, size_t *count)
{
	return guarded([&] {
		const auto changed =
			CbtMap::read(control->control, named(*device)).changed_since(since);
		*ranges = copied(changed);
		*count = changed.size();
		return 0;
	});
}
