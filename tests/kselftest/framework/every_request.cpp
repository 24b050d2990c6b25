// SPDX-License-Identifier: GPL-2.0
#include "every_request.hpp"

#include "kselftest.hpp"
#include "memory.hpp"

#include <iterator>

namespace kselftest
{

namespace
{

constexpr std::uint64_t kPieceSectors = 8192; // of the store, for each snapshot

} // namespace

EveryRequest::EveryRequest(const Control &control)
	: control_(control), store_(16), taken_disk_(8), created_disk_(8), doomed_disk_(8),
	  tracked_disk_(8), fresh_disk_(8), taken_(control, {&taken_disk_}),
	  created_(control, {&created_disk_}), doomed_(control.create({doomed_disk_.number()}))
{
	{
		const Snapshot past(control, {&tracked_disk_}, Snapshot::Trackers::Keep);
	}
	REQUIRE_ERRNO(taken_.append(store_, {{0, kPieceSectors}}), 0);
	REQUIRE_ERRNO(taken_.take(), 0);
	REQUIRE_ERRNO(created_.append(store_, {{kPieceSectors, kPieceSectors}}), 0);
	fill();
}

EveryRequest::~EveryRequest()
{
	(void)control_.try_destroy(doomed_);
	(void)control_.try_destroy(arguments_.create.id);
	for (const Disk *disk : {&doomed_disk_, &tracked_disk_, &fresh_disk_})
		(void)remove_tracker(control_, disk->number());
}

void EveryRequest::fill()
{
	Arguments &all = arguments_;

	memset(&all, kPoison, sizeof(all));
	all.tracker_remove.dev_id = tracked_disk_.number();
	all.tracker_collect.count = kRoom;
	all.tracker_collect.cbt_info_array = all.infos;
	all.read_cbt_map.dev_id = taken_disk_.number();
	all.read_cbt_map.offset = 0;
	all.read_cbt_map.length = sizeof(all.map);
	all.read_cbt_map.buff = all.map;
	all.mark_dirty.dev_id = taken_disk_.number();
	all.mark_dirty.count = 1;
	all.mark_dirty.dirty_blocks_array = &all.dirty;
	all.dirty = {0, 8};
	all.create.count = 1;
	all.create.dev_id_array = &all.fresh;
	all.fresh = fresh_disk_.number();
	all.destroy.id = doomed_;
	all.append.id = taken_.id();
	all.append.dev_id = store_.number();
	all.append.count = 1;
	all.append.ranges = &all.more;
	all.more = {2 * kPieceSectors, kPieceSectors};
	all.take.id = created_.id();
	all.collect.count = kRoom;
	all.collect.ids = all.ids;
	all.collect_images.id = taken_.id();
	all.collect_images.count = kRoom;
	all.collect_images.image_info_array = all.images;
	all.event.id = taken_.id(); // Its first portion was asked for.
	all.event.timeout_ms = 0;
}

// In the order of the numbers.
void *EveryRequest::argument_of(unsigned request)
{
	Arguments &all = arguments_;
	void *const arguments[] = {&all.version,      &all.tracker_remove, &all.tracker_collect,
				   &all.read_cbt_map, &all.mark_dirty,	   &all.create,
				   &all.destroy,      &all.append,	   &all.take,
				   &all.collect,      &all.collect_images, &all.event};

	static_assert(std::size(arguments) == std::size(kRequests));
	return arguments[request];
}

void EveryRequest::expect_refused(const Control &control)
{
	unsigned char before[sizeof(Arguments)];

	memcpy(before, &arguments_, sizeof(before));
	for (unsigned i = 0; i < std::size(kRequests); i++) {
		if (!EXPECT_ERRNO(control.try_call(kRequests[i], argument_of(i)), EPERM))
			note("that was request %u", i);
		if (EXPECT(!memcmp(before, &arguments_, sizeof(before))))
			continue;
		note("request %u wrote to the caller's memory", i);
		memcpy(before, &arguments_, sizeof(before));
	}
}

void EveryRequest::expect_accepted()
{
	EXPECT_EQ(control_.snapshots(), 3u);
	EXPECT_EQ(control_.trackers(), 4u);
	EXPECT_EQ(changed_blocks(control_, taken_disk_.number(), 0).size(), 0u);
	for (unsigned i = 0; i < std::size(kRequests); i++)
		if (!EXPECT_ERRNO(control_.try_call(kRequests[i], argument_of(i)), 0))
			note("that was request %u", i);
}

} // namespace kselftest
