// SPDX-License-Identifier: GPL-2.0
//
// errors: pointers, counts and holes. What a program gets wrong, or does on purpose, must change
// nothing, tell nothing and break nothing.
#include "kselftest.hpp"

#include "memory.hpp"
#include "process.hpp"
#include "requests.hpp"
#include "snapshot.hpp"

#include <array>
#include <atomic>
#include <random>
#include <thread>

using namespace kselftest;

namespace
{

std::size_t size_of(std::uint32_t request)
{
	return request >> 16 & 0x3fff;
}

void expect_nothing_is_left(const Control &control)
{
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

// A pointer of any type.
struct Pointer {
	void *to;
	template <class T> operator T *() const { return static_cast<T *>(to); }
};

} // namespace

// --- arguments -------------------------------------------------------------------------------

TEST(bad_arguments_are_efault)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		for (void *pointer : kBadPointers)
			EXPECT_ERRNO(control.try_call(request, pointer), EFAULT);
	expect_nothing_is_left(control);
}

// Each argument, cut off by one byte and by all but one.
TEST(an_argument_that_ends_in_unmapped_memory_is_efault)
{
	const Control control;
	for (const std::uint32_t request : kRequests) {
		const Fenced memory(4096);
		memset(memory.get(), 0, 4096);
		for (const std::size_t missing : {std::size_t{1}, size_of(request) - 1}) {
			char *end = memory.as<char>() + 4096;
			const int error =
				control.try_call(request, end - size_of(request) + missing);
			// Where the end is not needed the request may get further: then by its content.
			if (request == IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT && missing == 1)
				EXPECT_ERRNO(error, ESRCH);
			else
				EXPECT_ERRNO(error, EFAULT);
		}
	}
	expect_nothing_is_left(control);
}

TEST(an_argument_just_before_unmapped_memory_is_good)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Fenced create(sizeof(blk_snap_snapshot_create)), device(sizeof(blk_snap_dev));
	*device.as<blk_snap_dev>() = origin.number();
	create.as<blk_snap_snapshot_create>()->count = 1;
	create.as<blk_snap_snapshot_create>()->dev_id_array = device.as<blk_snap_dev>();
	REQUIRE_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, create.get()), 0);
	const blk_snap_uuid id = create.as<blk_snap_snapshot_create>()->id;

	const Fenced append(sizeof(blk_snap_snapshot_append_storage)),
		range(sizeof(blk_snap_block_range));
	*range.as<blk_snap_block_range>() = {0, store.sectors()};
	auto *storage = append.as<blk_snap_snapshot_append_storage>();
	storage->id = id;
	storage->dev_id = store.number();
	storage->count = 1;
	storage->ranges = range.as<blk_snap_block_range>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, append.get()), 0);

	const Fenced named(sizeof(blk_snap_uuid));
	*named.as<blk_snap_uuid>() = id;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, named.get()), 0);

	const Fenced infos(sizeof(blk_snap_cbt_info)), collect(sizeof(blk_snap_tracker_collect));
	collect.as<blk_snap_tracker_collect>()->count = 1;
	collect.as<blk_snap_tracker_collect>()->cbt_info_array = infos.as<blk_snap_cbt_info>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, collect.get()), 0);
	const unsigned blocks = infos.as<blk_snap_cbt_info>()->blk_count;

	const Fenced map(sizeof(blk_snap_tracker_read_cbt_bitmap)), bytes(blocks);
	*map.as<blk_snap_tracker_read_cbt_bitmap>() = {origin.number(), 0, blocks,
						       bytes.as<__u8>()};
	EXPECT_EQ(ioctl(control.fd(), IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, map.get()), blocks);
	EXPECT(all_bytes(bytes.get(), blocks, 0));

	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, named.get()), 0);
	EXPECT_ERRNO(remove_tracker(control, origin.number()), 0);
}

// Requests that only take something do not write to their argument.
TEST(arguments_of_pure_input_may_be_read_only)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	const auto call = [&](unsigned long request, const auto &argument) {
		const Fenced memory(sizeof(argument));
		memcpy(memory.get(), &argument, sizeof(argument));
		memory.make_read_only();
		return control.try_call(request, memory.get());
	};
	blk_snap_block_range range{0, store.sectors()};
	blk_snap_snapshot_append_storage append{};
	append.id = snapshot.id();
	append.dev_id = store.number();
	append.count = 1;
	append.ranges = &range;
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, append), 0);
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, blk_snap_snapshot_take{snapshot.id()}), 0);
	blk_snap_tracker_mark_dirty_blocks dirty{};
	dirty.dev_id = origin.number();
	range.sector_count = 1;
	dirty.count = 1;
	dirty.dirty_blocks_array = &range;
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, dirty), 0);
	__u8 byte;
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP,
			  blk_snap_tracker_read_cbt_bitmap{origin.number(), 0, 1, &byte}),
		     0);
	EXPECT_ERRNO(
		call(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, blk_snap_snapshot_destroy{snapshot.id()}), 0);
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_TRACKER_REMOVE, blk_snap_tracker_remove{origin.number()}),
		     0);
}

// --- answers that cannot be told -------------------------------------------------------------

TEST(answers_into_read_only_memory_are_efault)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const Fenced memory(4096);
	const auto call = [&](unsigned long request, const auto &argument) {
		memory.make_writable();
		memcpy(memory.get(), &argument, sizeof(argument));
		memory.make_read_only();
		const int error = control.try_call(request, memory.get());
		EXPECT(!memcmp(memory.get(), &argument, sizeof(argument)));
		return error;
	};
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_VERSION, blk_snap_version{}), EFAULT);
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_TRACKER_COLLECT, blk_snap_tracker_collect{}), EFAULT);
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, blk_snap_snapshot_collect{}), EFAULT);
	EXPECT_ERRNO(call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES,
			  blk_snap_snapshot_collect_images{snapshot.id(), 0, nullptr}),
		     EFAULT);
}

TEST(create_that_cannot_tell_its_id_leaves_no_snapshot)
{
	const Control control;
	const NullDisk origin(16);
	blk_snap_dev device = origin.number();
	const Fenced memory(sizeof(blk_snap_snapshot_create));
	auto *create = memory.as<blk_snap_snapshot_create>();
	create->count = 1;
	create->dev_id_array = &device;
	memory.make_read_only();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, create), EFAULT);
	EXPECT_EQ(control.snapshots(), 0u);
	(void)remove_tracker(control, device);
	memory.make_writable();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, create), 0);
	control.try_destroy(create->id);
	EXPECT_ERRNO(remove_tracker(control, device), 0);
}

TEST(an_event_that_cannot_be_told_is_not_lost)
{
	const Control control;
	const NullDisk origin(16);
	const Snapshot snapshot(control, {&origin});
	const Fenced memory(sizeof(blk_snap_snapshot_event));
	memory.as<blk_snap_snapshot_event>()->id = snapshot.id();
	memory.as<blk_snap_snapshot_event>()->timeout_ms = 100;
	memory.make_read_only();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, memory.get()), EFAULT);
	blk_snap_snapshot_event event;
	EXPECT_ERRNO(snapshot.wait_event(100, event), 0);
	EXPECT_EQ(event.code, blk_snap_event_code_low_free_space);
	EXPECT_ERRNO(snapshot.wait_event(0, event), ENOENT);
}

// --- arrays ----------------------------------------------------------------------------------

TEST(create_with_a_bad_array_is_efault)
{
	const Control control;
	const NullDisk origin(16);
	blk_snap_snapshot_create create{};
	create.count = 1;
	for (void *pointer : kBadPointers) {
		create.dev_id_array = Pointer{pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), EFAULT);
	}
	// The first device is good, the second is not there.
	const Fenced devices(sizeof(blk_snap_dev));
	*devices.as<blk_snap_dev>() = origin.number();
	create.count = 2;
	create.dev_id_array = devices.as<blk_snap_dev>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), EFAULT);
	expect_nothing_is_left(control);
}

TEST(append_with_bad_ranges_is_efault_and_adds_nothing)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	blk_snap_snapshot_append_storage append{};
	append.id = snapshot.id();
	append.dev_id = store.number();
	append.count = 1;
	for (void *pointer : kBadPointers) {
		append.ranges = Pointer{pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append),
			     EFAULT);
	}
	const Fenced ranges(sizeof(blk_snap_block_range));
	*ranges.as<blk_snap_block_range>() = {0, 4096};
	append.count = 2;
	append.ranges = ranges.as<blk_snap_block_range>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append), EFAULT);
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
	EXPECT_ERRNO(snapshot.append(store, {{0, 4096}}), 0);
}

TEST(mark_dirty_with_bad_ranges_is_efault_and_marks_nothing)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	blk_snap_tracker_mark_dirty_blocks dirty{};
	dirty.dev_id = origin.number();
	dirty.count = 1;
	for (void *pointer : kBadPointers) {
		dirty.dirty_blocks_array = Pointer{pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty),
			     EFAULT);
	}
	const Fenced ranges(sizeof(blk_snap_block_range));
	*ranges.as<blk_snap_block_range>() = {0, 4096};
	dirty.count = 2;
	dirty.dirty_blocks_array = ranges.as<blk_snap_block_range>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), EFAULT);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0).size(), 0u);
}

TEST(collecting_into_a_bad_array_is_efault)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	for (void *pointer : kBadPointers) {
		if (!pointer)
			continue; // asks for the count
		blk_snap_tracker_collect trackers{16, Pointer{pointer}};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), EFAULT);
		blk_snap_snapshot_collect collect{16, Pointer{pointer}};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), EFAULT);
		blk_snap_snapshot_collect_images images{snapshot.id(), 16, Pointer{pointer}};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images),
			     EFAULT);
	}
}

TEST(collecting_into_a_read_only_or_short_array_is_efault)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const Fenced read_only(4096), one_byte(1);
	read_only.make_read_only();
	for (const Fenced *memory : {&read_only, &one_byte}) {
		const Pointer pointer{memory->get()};
		blk_snap_tracker_collect trackers{1, pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), EFAULT);
		blk_snap_snapshot_collect collect{1, pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), EFAULT);
		blk_snap_snapshot_collect_images images{snapshot.id(), 1, pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images),
			     EFAULT);
	}
	EXPECT(read_only.untouched());
}

TEST(reading_the_map_into_a_bad_buffer_is_efault)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	blk_snap_tracker_read_cbt_bitmap map{origin.number(), 0, 16, nullptr};
	for (void *pointer : kBadPointers) {
		map.buff = Pointer{pointer};
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &map), EFAULT);
	}
	const Fenced read_only(4096), too_short(15);
	read_only.make_read_only();
	map.buff = read_only.as<__u8>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &map), EFAULT);
	EXPECT(read_only.untouched());
	map.buff = too_short.as<__u8>();
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &map), EFAULT);
}

// --- devices and snapshots that are none --------------------------------------------------------

TEST(append_to_an_unknown_snapshot_is_esrch)
{
	const Control control;
	const NullDisk store(16);
	EXPECT_ERRNO(control.try_append(kUnknownId, store.number(), {{0, 8}}), ESRCH);
	EXPECT_ERRNO(control.try_append(kUnknownId, kMissingDevice, {{0, 0}}), ESRCH);
}

TEST(append_of_what_is_no_store_adds_nothing)
{
	const Control control;
	const NullDisk origin(16), store(16), other(16);
	const DmDisk upper("0 32768 linear " + origin.path() + " 0");
	const Snapshot taken(control, {&other}), snapshot(control, {&origin});
	taken.take_with(store);
	EXPECT_ERRNO(control.try_append(snapshot.id(), kMissingDevice, {{0, 8}}), ENXIO);
	EXPECT_ERRNO(control.try_append(snapshot.id(), {~0u, ~0u}, {{0, 8}}), ENXIO);
	// An image, and what stands on an origin.
	EXPECT_ERRNO(snapshot.append(taken.image_of(other), {{0, 4096}}), EINVAL);
	EXPECT_ERRNO(taken.append(taken.image_of(other), {{0, 4096}}), EINVAL);
	EXPECT_ERRNO(snapshot.append(upper, {{0, 4096}}), EINVAL);
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
}

// --- counts ----------------------------------------------------------------------------------

TEST(create_with_boundless_counts_is_einval)
{
	const Control control;
	const NullDisk origin(16);
	blk_snap_dev device = origin.number();
	blk_snap_snapshot_create create{};
	create.dev_id_array = &device;
	for (const __u32 count : {0u, 4097u, 0x20000001u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
		create.count = count;
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), EINVAL);
	}
	expect_nothing_is_left(control);
}

TEST(boundless_counts_of_ranges_are_einval)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	blk_snap_block_range range{0, 8};
	blk_snap_snapshot_append_storage append{};
	append.id = snapshot.id();
	append.dev_id = store.number();
	append.ranges = &range;
	blk_snap_tracker_mark_dirty_blocks dirty{};
	dirty.dev_id = origin.number();
	dirty.dirty_blocks_array = &range;
	for (const __u32 count : {262145u, 0x10000001u, 0x80000000u, 0xffffffffu}) {
		append.count = dirty.count = count;
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append),
			     EINVAL);
		EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty),
			     EINVAL);
	}
	EXPECT_ERRNO(snapshot.take(), ENOSPC);
}

TEST(as_many_ranges_as_are_allowed_are_marked)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_ERRNO(mark_dirty(control, origin.number(),
				std::vector<blk_snap_block_range>(262144, {128, 1})),
		     0);
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), std::vector<unsigned>{1});
}

TEST(collecting_with_boundless_room_fills_what_there_is)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const __u32 boundless = 0xffffffff;

	// What follows the first element is not there: nothing else may be written.
	const Fenced id(sizeof(blk_snap_uuid)), info(sizeof(blk_snap_cbt_info)),
		image(sizeof(blk_snap_image_info));
	blk_snap_snapshot_collect collect{boundless, id.as<blk_snap_uuid>()};
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), 0);
	EXPECT_EQ(collect.count, 1u);
	EXPECT(same(*id.as<blk_snap_uuid>(), snapshot.id()));
	blk_snap_tracker_collect trackers{boundless, info.as<blk_snap_cbt_info>()};
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), 0);
	EXPECT_EQ(trackers.count, 1u);
	blk_snap_snapshot_collect_images images{snapshot.id(), boundless,
						image.as<blk_snap_image_info>()};
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images), 0);
	EXPECT_EQ(images.count, 1u);
}

// --- holes -----------------------------------------------------------------------------------

#if __SIZEOF_POINTER__ == 8
// Poisoned arguments, in which only the named fields are set.
TEST(holes_are_ignored_on_input_and_zero_on_output)
{
	const Control control;
	const NullDisk origin(16), store(16);
	blk_snap_dev device = origin.number();
	const auto is_clear = [](const void *memory, std::size_t from, std::size_t to) {
		return all_bytes(static_cast<const char *>(memory) + from, to - from, 0);
	};
	blk_snap_snapshot_create create;
	memset(&create, kPoison, sizeof(create));
	create.count = 1;
	create.dev_id_array = &device;
	REQUIRE_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), 0);
	EXPECT(is_clear(&create, 4, 8));

	blk_snap_block_range range{0, store.sectors()};
	blk_snap_snapshot_append_storage append;
	memset(&append, kPoison, sizeof(append));
	append.id = create.id;
	append.dev_id = store.number();
	append.count = 1;
	append.ranges = &range;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append), 0);
	EXPECT_ERRNO(control.try_take(create.id), 0);

	range = {0, 1};
	blk_snap_tracker_mark_dirty_blocks dirty;
	memset(&dirty, kPoison, sizeof(dirty));
	dirty.dev_id = device;
	dirty.count = 1;
	dirty.dirty_blocks_array = &range;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), 0);

	blk_snap_cbt_info info;
	memset(&info, kPoison, sizeof(info));
	blk_snap_tracker_collect trackers;
	memset(&trackers, kPoison, sizeof(trackers));
	trackers.count = 1;
	trackers.cbt_info_array = &info;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), 0);
	EXPECT(is_clear(&trackers, 4, 8));
	EXPECT(is_clear(&info, 12, 16));
	EXPECT(is_clear(&info, 45, 48));

	blk_snap_uuid id;
	blk_snap_snapshot_collect collect;
	memset(&collect, kPoison, sizeof(collect));
	collect.count = 1;
	collect.ids = &id;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), 0);
	EXPECT(is_clear(&collect, 4, 8));

	blk_snap_image_info image;
	blk_snap_snapshot_collect_images images;
	memset(&images, kPoison, sizeof(images));
	images.id = create.id;
	images.count = 1;
	images.image_info_array = &image;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images), 0);
	EXPECT(is_clear(&images, 20, 24));

	blk_snap_snapshot_event event;
	memset(&event, kPoison, sizeof(event));
	event.id = create.id;
	event.timeout_ms = 0;
	EXPECT_ERRNO(control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event), 0);
	EXPECT(is_clear(event.data, sizeof(blk_snap_event_low_free_space), sizeof(event.data)));

	EXPECT_ERRNO(control.try_destroy(create.id), 0);
	EXPECT_ERRNO(remove_tracker(control, device), 0);
}
#endif

// --- all of it at once -----------------------------------------------------------------------

// Any content in any argument, from several threads: nothing may break, and nothing may be left that
// cannot be ended.
TEST(random_arguments_are_harmless, .timeout_seconds = 120)
{
	const Control control;
	const NullDisk origin(16);
	const blk_snap_dev device = origin.number();
	std::atomic<unsigned> calls = 0, unknown = 0;
	const double end = now() + 5;
	std::vector<std::thread> threads;
	for (unsigned seed = 0; seed < 3; seed++)
		threads.emplace_back([&, seed] {
			std::mt19937 random(seed);
			std::array<std::uint32_t, 1024> words;
			static thread_local std::array<blk_snap_dev, 8192> room;
			room.fill(device);
			while (now() < end) {
				for (std::size_t i = 0; i < 16; i++)
					switch (random() % 4) {
					case 0:
						words[i] = random() % 4;
						break;
					case 1:
						words[i] = random() % 2 ? device.mj : device.mn;
						break;
					default:
						words[i] = static_cast<std::uint32_t>(random());
					}
				const std::uint32_t request = kRequests[random() % 12];
				void *pointer = room.data();
				// Pointers are at the end of the structures, or at 8.
				memcpy(&words[(size_of(request) - 8) / 4 % 16], &pointer,
				       sizeof(pointer));
				if (random() % 2)
					memcpy(&words[2], &pointer, sizeof(pointer));
				if (request == IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT)
					words[4] = random() % 16;
				const int error = control.try_call(request, words.data());
				unknown += error == ENOTTY;
				calls++;
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	note("%u calls", calls.load());
	EXPECT_EQ(unknown.load(), 0u);
	for (const blk_snap_uuid &id : snapshot_ids(control))
		EXPECT_ERRNO(control.try_destroy(id), 0);
	for (const blk_snap_cbt_info &info : trackers(control))
		EXPECT_ERRNO(remove_tracker(control, info.dev_id), 0);
}
