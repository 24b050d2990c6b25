// SPDX-License-Identifier: GPL-2.0
//
// The C interface: whatever happens below it, a number and a line come out.
#include "fake_module.hpp"

#include "libblksnap/src/c_guard.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <stdexcept>

#include <unistd.h>

namespace blksnap
{

namespace
{

const blksnap_device kOrigin{8, 1};
const blksnap_device kStorage{8, 16};
const blksnap_range kRange{0, 2048};

class CApiTest : public testing::Test
{
protected:
	// Every request ends with this exception.
	template <typename T> blksnap_control throwing(T what)
	{
		return {Control{[what](unsigned long, void *) -> int { throw what; }}};
	}

	test::FakeModule module_;
	blksnap_control control_{module_.control()};
};

// All functions that make requests, with arguments that are good.
std::vector<int> call_everything(blksnap_control &control)
{
	blksnap_id id{}, *ids;
	blksnap_device image{};
	blksnap_image *images;
	blksnap_tracker tracker{}, *trackers;
	blksnap_range *ranges;
	blksnap_event event{};
	blksnap_session *session;
	std::uint16_t version[4];
	std::size_t count;
	return {blksnap_version(&control, version),
		blksnap_snapshot_create(&control, &kOrigin, 1, &id),
		blksnap_snapshot_append_ranges(&control, &id, &kStorage, &kRange, 1),
		blksnap_snapshot_take(&control, &id),
		blksnap_snapshot_destroy(&control, &id),
		blksnap_snapshot_list(&control, &ids, &count),
		blksnap_snapshot_images(&control, &id, &images, &count),
		blksnap_snapshot_image(&control, &id, &kOrigin, &image),
		blksnap_snapshot_wait_event(&control, &id, 0, &event),
		blksnap_tracker_list(&control, &trackers, &count),
		blksnap_tracker_find(&control, &kOrigin, &tracker),
		blksnap_tracker_remove(&control, &kOrigin),
		blksnap_tracker_mark_dirty(&control, &kOrigin, &kRange, 1),
		blksnap_tracker_changes(&control, &kOrigin, nullptr, 0, &ranges, &count, &tracker),
		blksnap_session_create(&control, &kOrigin, 1, nullptr, nullptr, &session)};
}

} // namespace

TEST_F(CApiTest, no_exception_leaves)
{
	auto out_of_memory = throwing(std::bad_alloc{});
	for (const int result : call_everything(out_of_memory))
		EXPECT_EQ(result, -ENOMEM);
	auto broken = throwing(std::runtime_error{"broken"});
	for (const int result : call_everything(broken))
		EXPECT_EQ(result, -EIO);
	EXPECT_STREQ(blksnap_error(), "broken");
	auto strange = throwing(7);
	for (const int result : call_everything(strange))
		EXPECT_EQ(result, -EIO);
}

TEST_F(CApiTest, errors_are_those_of_the_module_in_words)
{
	blksnap_id id{};
	EXPECT_EQ(blksnap_snapshot_take(&control_, &id), -ESRCH);
	EXPECT_STREQ(blksnap_error(),
		     "cannot take snapshot 00000000-0000-0000-0000-000000000000: there is no such "
		     "snapshot; list the snapshots with blksnap snapshot_collect");
	EXPECT_EQ(blksnap_id_parse("nonsense", &id), -EINVAL);
	blksnap_device device;
	EXPECT_EQ(blksnap_resolve_device("/nonesuch", &device), -ENOENT);
	blksnap_event event;
	EXPECT_EQ(blksnap_snapshot_wait_event(&control_, &id, 0, &event), -ESRCH);
	module_.add_snapshot(0, 1);
	EXPECT_EQ(blksnap_snapshot_wait_event(&control_, &id, 0, &event), -ENOENT);
}

TEST_F(CApiTest, lists_are_allocated_also_when_empty)
{
	blksnap_id *ids = nullptr;
	std::size_t count = 7;
	ASSERT_EQ(blksnap_snapshot_list(&control_, &ids, &count), 0);
	EXPECT_NE(ids, nullptr);
	EXPECT_EQ(count, 0u);
	blksnap_free(ids);

	module_.add_snapshot(1, 3);
	ASSERT_EQ(blksnap_snapshot_list(&control_, &ids, &count), 0);
	ASSERT_EQ(count, 1u);
	blksnap_image *images = nullptr;
	ASSERT_EQ(blksnap_snapshot_images(&control_, ids, &images, &count), 0);
	ASSERT_EQ(count, 3u);
	EXPECT_EQ(images[2].original.minor, 3u);
	EXPECT_EQ(images[2].image.minor, 2u);
	blksnap_free(images);
	module_.snapshots.front().taken = false;
	EXPECT_EQ(blksnap_snapshot_images(&control_, ids, &images, &count), -ENODEV);
	blksnap_free(ids);
}

TEST_F(CApiTest, changes_are_told_of_the_generation_that_is_meant_only)
{
	module_.cbt_map = {0, 2, 3};
	blk_snap_cbt_info info{};
	info.dev_id = {8, 1};
	info.blk_size = 65536;
	info.blk_count = 3;
	info.device_capacity = 3 * 65536;
	info.generation_id.b[0] = 0xab;
	info.snap_number = 3;
	module_.trackers = {info};
	const blksnap_id now{{0xab}}, before{{0xcd}};
	blksnap_range *ranges = nullptr;
	std::size_t count = 0;
	const auto changes = [&](const blksnap_id *generation, std::uint8_t since,
				 blksnap_tracker *tracker) {
		return blksnap_tracker_changes(&control_, &kOrigin, generation, since, &ranges,
					       &count, tracker);
	};

	for (const auto *generation : {&now, static_cast<const blksnap_id *>(nullptr)}) {
		ASSERT_EQ(changes(generation, 2, nullptr), 0);
		ASSERT_EQ(count, 1u);
		EXPECT_EQ(ranges[0].offset, 256u);
		blksnap_free(ranges);
		EXPECT_EQ(changes(generation, 4, nullptr), -ESTALE);
	}
	blksnap_tracker tracker{};
	EXPECT_EQ(changes(&before, 2, &tracker), -ESTALE);
	EXPECT_NE(std::strstr(blksnap_error(), "; copy the whole device"), nullptr);
	// Who copies everything remembers these.
	EXPECT_EQ(tracker.generation.bytes[0], 0xab);
	EXPECT_EQ(tracker.snapshot_number, 3);
}

TEST_F(CApiTest, files_with_holes_are_no_storage)
{
	const auto path =
		std::filesystem::current_path() / ("blksnap-c-holes-" + std::to_string(getpid()));
	blksnap_session *session = nullptr;
	ASSERT_EQ(blksnap_session_create(&control_, &kOrigin, 1, nullptr, nullptr, &session), 0);
	blksnap_id id{};
	blksnap_session_id(session, &id);
	for (const auto *contents : {"", "x"}) { // no sector, or the first block only
		std::ofstream{path} << contents;
		std::filesystem::resize_file(path, 1 << 20);
		const int by_session = blksnap_session_append_file(session, path.c_str());
		const int by_id = blksnap_snapshot_append_file(&control_, &id, path.c_str());
		EXPECT_EQ(by_id, by_session);
		// Other file systems than ext4 and xfs are refused anyway.
		EXPECT_TRUE(by_id == -ENODATA || by_id == -EOPNOTSUPP) << blksnap_error();
	}
	std::filesystem::remove(path);
	EXPECT_TRUE(module_.snapshots.front().storage.empty());
	blksnap_session_destroy(session);
}

TEST_F(CApiTest, ids_survive_a_round_trip)
{
	blksnap_id id;
	char text[BLKSNAP_ID_TEXT_SIZE];
	ASSERT_EQ(blksnap_id_parse("01234567-89ab-cdef-0011-22334455ff66", &id), 0);
	ASSERT_EQ(blksnap_id_format(&id, text), 0);
	EXPECT_STREQ(text, "01234567-89ab-cdef-0011-22334455ff66");
}

TEST_F(CApiTest, a_session_calls_back_and_ends_its_snapshot)
{
	blk_snap_snapshot_event event{};
	event.code = blk_snap_event_code_corrupted;
	const blk_snap_event_corrupted data{{8, 1}, 28};
	std::memcpy(event.data, &data, sizeof(data));
	module_.events.push_back(event);

	std::promise<blksnap_event> got;
	const auto on_event = [](const blksnap_event *event, void *context) {
		static_cast<std::promise<blksnap_event> *>(context)->set_value(*event);
	};
	blksnap_session *session = nullptr;
	ASSERT_EQ(blksnap_session_create(&control_, &kOrigin, 1, on_event, &got, &session), 0);
	const auto corrupted = got.get_future().get();
	EXPECT_EQ(corrupted.kind, BLKSNAP_EVENT_CORRUPTED);
	EXPECT_EQ(corrupted.original.minor, 1u);
	EXPECT_EQ(corrupted.error, 28);

	blksnap_device image;
	EXPECT_EQ(blksnap_session_take(session), -ENOSPC);
	EXPECT_EQ(blksnap_session_append_ranges(session, &kStorage, &kRange, 1), 0);
	EXPECT_EQ(blksnap_session_append_file(session, "/nonesuch"), -ENOENT);
	EXPECT_EQ(blksnap_session_take(session), 0);
	EXPECT_EQ(blksnap_session_image(session, &kOrigin, &image), 0);
	EXPECT_EQ(blksnap_session_image(session, &kStorage, &image), -ENODEV);
	blksnap_id id{};
	blksnap_session_id(session, &id);
	EXPECT_EQ(id.bytes[15], 1);
	blksnap_session_destroy(session);
	EXPECT_TRUE(module_.snapshots.empty());
}

} // namespace blksnap
