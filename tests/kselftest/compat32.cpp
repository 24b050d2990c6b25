// SPDX-License-Identifier: GPL-2.0
//
// compat32: a 32-bit program on a 64-bit kernel. This area is one: the framework's own calls go that
// way, too. What its structures look like is asserted by blksnap.h where it is compiled; here they
// are filled and read byte by byte.
#include "kselftest.hpp"

#include "every_request.hpp"
#include "memory.hpp"
#include "process.hpp"
#include "requests.hpp"
#include "rights.hpp"
#include "snapshot.hpp"

using namespace kselftest;

static_assert(sizeof(void *) == 4, "this area is a 32-bit program");

namespace
{

// An argument of raw bytes, poisoned, with what follows it.
class Raw
{
public:
	Raw() { memset(bytes_, kPoison, sizeof(bytes_)); }
	void *get() { return bytes_; }
	void set(std::size_t offset, std::uint32_t value) { memcpy(bytes_ + offset, &value, 4); }
	void set(std::size_t offset, const void *pointer)
	{
		set(offset, static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(pointer)));
	}
	void set(std::size_t offset, const blk_snap_uuid &id) { memcpy(bytes_ + offset, &id, 16); }
	void set(std::size_t offset, const blk_snap_dev &device)
	{
		set(offset, device.mj);
		set(offset + 4, device.mn);
	}
	std::uint32_t at(std::size_t offset) const
	{
		std::uint32_t value;
		memcpy(&value, bytes_ + offset, 4);
		return value;
	}
	std::uint64_t wide_at(std::size_t offset) const
	{
		return at(offset) | static_cast<std::uint64_t>(at(offset + 4)) << 32;
	}
	blk_snap_uuid id_at(std::size_t offset) const
	{
		blk_snap_uuid id;
		memcpy(&id, bytes_ + offset, 16);
		return id;
	}
	bool is_poisoned_from(std::size_t offset) const
	{
		return all_bytes(bytes_ + offset, sizeof(bytes_) - offset, kPoison);
	}

private:
	alignas(8) unsigned char bytes_[8192];
};

// The raw life of a snapshot: create, append, take; destroyed at the end.
class RawSnapshot
{
public:
	RawSnapshot(const Control &control, const Disk &origin)
		: control_(control), device_(origin.number())
	{
		Raw argument;
		argument.set(0, 1u);
		argument.set(4, &device_);
		REQUIRE_ERRNO(control.try_call(0x40185605, argument.get()), 0);
		EXPECT_EQ(argument.at(0), 1u);
		EXPECT(argument.is_poisoned_from(24));
		id_ = argument.id_at(8);
	}
	~RawSnapshot()
	{
		(void)control_.try_destroy(id_);
		(void)remove_tracker(control_, device_);
	}
	void take_with(const Disk &store) const
	{
		blk_snap_block_range range{0, store.sectors()};
		Raw append, take;
		append.set(0, id_);
		append.set(16, store.number());
		append.set(24, 1u);
		append.set(28, &range);
		REQUIRE_ERRNO(control_.try_call(0x40205607, append.get()), 0);
		EXPECT(append.is_poisoned_from(32));
		take.set(0, id_);
		REQUIRE_ERRNO(control_.try_call(0x80105608, take.get()), 0);
		EXPECT(take.is_poisoned_from(16));
	}
	const blk_snap_uuid &id() const { return id_; }

private:
	const Control &control_;
	blk_snap_dev device_;
	blk_snap_uuid id_;
};

} // namespace

// --- numbers ---------------------------------------------------------------------------------

TEST(the_header_makes_the_32_bit_numbers)
{
	EXPECT_EQ(IOCTL_BLK_SNAP_VERSION, kRequests[0]);
	EXPECT_EQ(IOCTL_BLK_SNAP_TRACKER_REMOVE, kRequests[1]);
	EXPECT_EQ(IOCTL_BLK_SNAP_TRACKER_COLLECT, kRequests[2]);
	EXPECT_EQ(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, kRequests[3]);
	EXPECT_EQ(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, kRequests[4]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, kRequests[5]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, kRequests[6]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, kRequests[7]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, kRequests[8]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, kRequests[9]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, kRequests[10]);
	EXPECT_EQ(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, kRequests[11]);
}

TEST(the_twelve_numbers_are_known)
{
	const Control control;
	for (const std::uint32_t request : kRequests)
		EXPECT_ERRNO(control.try_call(request, nullptr), EFAULT);
}

TEST(numbers_of_64_bit_programs_are_unknown)
{
	const Control control;
	Raw memory;
	for (const std::uint32_t request : {0x40105602u, 0x80185603u, 0x80185604u, 0x40205605u,
					    0x40285607u, 0x40105609u, 0x4020560au})
		EXPECT_ERRNO(control.try_call(request, memory.get()), ENOTTY);
	EXPECT(memory.is_poisoned_from(0));
}

TEST(other_numbers_are_unknown)
{
	const Control control;
	Raw memory;
	for (const std::uint32_t request : kRequests)
		for (std::uint32_t bit = 0; bit < 32; bit++)
			if (!is_request(request ^ 1u << bit))
				EXPECT_ERRNO(control.try_call(request ^ 1u << bit, memory.get()),
					     ENOTTY);
	for (std::uint32_t nr = 12; nr < 256; nr++)
		EXPECT_ERRNO(control.try_call(0x40085600 | nr, memory.get()), ENOTTY);
	EXPECT_EQ(isatty(control.fd()), 0);
	EXPECT_ERRNO(errno, ENOTTY);
}

// --- the twelve requests, byte by byte -------------------------------------------------------

TEST(version)
{
	const Control control;
	Raw memory;
	REQUIRE_ERRNO(control.try_call(0x40085600, memory.get()), 0);
	EXPECT(memory.at(0) != 0xa5a5a5a5);
	EXPECT(memory.at(4) != 0xa5a5a5a5);
	EXPECT(memory.is_poisoned_from(8));
}

TEST(tracker_remove)
{
	const Control control;
	const NullDisk origin(16);
	{
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
	}
	Raw memory;
	memory.set(0, origin.number());
	EXPECT_ERRNO(control.try_call(0x40085601, memory.get()), 0);
	EXPECT_ERRNO(control.try_call(0x40085601, memory.get()), ENODATA);
	EXPECT(memory.is_poisoned_from(8));
}

// 44 bytes for each, and no hole before the capacity.
TEST(tracker_collect)
{
	const Control control;
	const NullDisk one(16), two(40), store(16);
	const RawSnapshot first(control, one), second(control, two);
	first.take_with(store);
	Raw argument, infos;
	argument.set(0, 3u);
	argument.set(4, infos.get());
	REQUIRE_ERRNO(control.try_call(0x40085602, argument.get()), 0);
	EXPECT_EQ(argument.at(0), 2u);
	EXPECT_EQ(argument.at(4), reinterpret_cast<std::uintptr_t>(infos.get()));
	EXPECT(argument.is_poisoned_from(8));
	for (const std::size_t info : {0u, 44u}) {
		const bool is_first = infos.at(info + 4) == one.number().mn;
		const Disk &disk = is_first ? static_cast<const Disk &>(one) : two;
		EXPECT_EQ(infos.at(info), disk.number().mj);
		EXPECT_EQ(infos.at(info + 4), disk.number().mn);
		EXPECT_EQ(infos.at(info + 8), 65536u);
		EXPECT_EQ(infos.wide_at(info + 12), disk.sectors() * 512);
		EXPECT_EQ(infos.at(info + 20), disk.sectors() / 128);
		EXPECT(infos.at(info + 24) != 0xa5a5a5a5);
		EXPECT_EQ(infos.at(info + 40), is_first ? 1u : 0u); // the number, then zeroes
	}
	EXPECT(infos.at(4) != infos.at(48));
	EXPECT(infos.is_poisoned_from(88));

	argument.set(0, 1u);
	EXPECT_ERRNO(control.try_call(0x40085602, argument.get()), ENOBUFS);
	EXPECT_EQ(argument.at(0), 2u);
	argument.set(4, 0u);
	EXPECT_ERRNO(control.try_call(0x40085602, argument.get()), 0);
	EXPECT_EQ(argument.at(0), 2u);
}

TEST(tracker_read_cbt_map)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const RawSnapshot snapshot(control, origin);
	origin.fill(1, 3 * 128, 1);
	snapshot.take_with(store);
	Raw argument, map;
	argument.set(0, origin.number());
	argument.set(8, 2u);
	argument.set(12, 100u);
	argument.set(16, map.get());
	EXPECT_EQ(ioctl(control.fd(), 0x80145603, argument.get()), 100);
	EXPECT_EQ(map.at(0), 0x00000100u);
	EXPECT(map.is_poisoned_from(100));
	argument.set(8, 250u);
	EXPECT_EQ(ioctl(control.fd(), 0x80145603, argument.get()), 6);
	argument.set(8, 256u);
	EXPECT_EQ(ioctl(control.fd(), 0x80145603, argument.get()), 0);
	argument.set(8, 257u);
	EXPECT_ERRNO(control.try_call(0x80145603, argument.get()), EINVAL);
	EXPECT(argument.is_poisoned_from(20));
}

TEST(tracker_mark_dirty_blocks)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const RawSnapshot snapshot(control, origin);
	snapshot.take_with(store);
	blk_snap_block_range ranges[] = {{0, 1}, {5 * 128, 129}};
	Raw argument;
	argument.set(0, origin.number());
	argument.set(8, 2u);
	argument.set(12, ranges);
	EXPECT_ERRNO(control.try_call(0x80105604, argument.get()), 0);
	EXPECT(argument.is_poisoned_from(16));
	EXPECT_EQ(changed_blocks(control, origin.number(), 0), (std::vector<unsigned>{0, 5, 6}));
	// 64-bit fields keep their upper halves.
	ranges[1].sector_offset |= 1ull << 32;
	EXPECT_ERRNO(control.try_call(0x80105604, argument.get()), EINVAL);
}

TEST(snapshot_create_take_and_destroy)
{
	const Control control;
	const NullDisk one(16), two(16), store(16);
	blk_snap_dev devices[] = {one.number(), two.number()};
	Raw create;
	create.set(0, 2u);
	create.set(4, devices);
	REQUIRE_ERRNO(control.try_call(0x40185605, create.get()), 0);
	EXPECT_EQ(create.at(4), reinterpret_cast<std::uintptr_t>(devices));
	EXPECT(create.is_poisoned_from(24));
	const blk_snap_uuid id = create.id_at(8);
	EXPECT_EQ(id.b[6] & 0xf0, 0x40);
	create.set(0, 0u);
	EXPECT_ERRNO(control.try_call(0x40185605, create.get()), EINVAL);

	Raw named;
	named.set(0, id);
	EXPECT_ERRNO(control.try_call(0x80105608, named.get()), ENOSPC);
	blk_snap_block_range range{0, store.sectors()};
	Raw append;
	append.set(0, id);
	append.set(16, store.number());
	append.set(24, 1u);
	append.set(28, &range);
	EXPECT_ERRNO(control.try_call(0x40205607, append.get()), 0);
	EXPECT_ERRNO(control.try_call(0x40205607, append.get()), EINVAL); // given before
	EXPECT(append.is_poisoned_from(32));
	EXPECT_ERRNO(control.try_call(0x80105608, named.get()), 0);
	EXPECT_ERRNO(control.try_call(0x80105608, named.get()), EALREADY);
	EXPECT_ERRNO(control.try_call(0x80105606, named.get()), 0);
	EXPECT_ERRNO(control.try_call(0x80105606, named.get()), ENODEV);
	EXPECT(named.is_poisoned_from(16));
	for (const blk_snap_dev &device : devices)
		EXPECT_ERRNO(remove_tracker(control, device), 0);
}

TEST(snapshot_collect)
{
	const Control control;
	const NullDisk one(16), two(16);
	const RawSnapshot first(control, one), second(control, two);
	Raw argument, ids;
	argument.set(0, 4u);
	argument.set(4, ids.get());
	REQUIRE_ERRNO(control.try_call(0x40085609, argument.get()), 0);
	EXPECT_EQ(argument.at(0), 2u);
	EXPECT(argument.is_poisoned_from(8));
	EXPECT(ids.is_poisoned_from(32));
	EXPECT(same(ids.id_at(0), first.id()) != same(ids.id_at(16), first.id()));
	argument.set(0, 1u);
	EXPECT_ERRNO(control.try_call(0x40085609, argument.get()), ENODATA);
	EXPECT_EQ(argument.at(0), 2u);
}

TEST(snapshot_collect_images)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const RawSnapshot snapshot(control, origin);
	Raw argument, infos;
	argument.set(0, snapshot.id());
	argument.set(16, 2u);
	argument.set(20, infos.get());
	EXPECT_ERRNO(control.try_call(0x4018560a, argument.get()), ENODEV);
	snapshot.take_with(store);
	REQUIRE_ERRNO(control.try_call(0x4018560a, argument.get()), 0);
	EXPECT_EQ(argument.at(16), 1u);
	EXPECT(argument.is_poisoned_from(24));
	EXPECT_EQ(infos.at(0), origin.number().mj);
	EXPECT_EQ(infos.at(4), origin.number().mn);
	EXPECT_EQ(infos.at(12), 0u);
	EXPECT(infos.is_poisoned_from(16));
	argument.set(16, 0u);
	EXPECT_ERRNO(control.try_call(0x4018560a, argument.get()), ENODATA);
	EXPECT_EQ(argument.at(16), 1u);
}

TEST(snapshot_wait_event)
{
	const Control control;
	const NullDisk origin(16);
	const RawSnapshot snapshot(control, origin);
	Raw argument;
	argument.set(0, snapshot.id());
	argument.set(16, 1000u);
	REQUIRE_ERRNO(control.try_call(0x5000560b, argument.get()), 0);
	EXPECT_EQ(argument.at(20), 0u);
	EXPECT(argument.wide_at(24) > 0 && argument.wide_at(24) < 1ull << 60);
	EXPECT(argument.wide_at(32) >= 8);
	EXPECT_EQ(argument.wide_at(40), 0u);
	EXPECT(argument.is_poisoned_from(4096));
	argument.set(16, 300u);
	const double begin = now();
	EXPECT_ERRNO(control.try_call(0x5000560b, argument.get()), ENOENT);
	EXPECT(now() - begin >= 0.3);
}

// --- pointers --------------------------------------------------------------------------------

// The upper half of a register is not part of a pointer, and nothing beyond 4 GiB can be named.
TEST(bad_pointers_are_efault)
{
	const Control control;
	const NullDisk origin(16);
	void *const pointers[] = {nullptr, reinterpret_cast<void *>(8),
				  reinterpret_cast<void *>(0xfffff000u),
				  reinterpret_cast<void *>(~0u)};
	for (const std::uint32_t request : kRequests)
		for (void *pointer : pointers)
			EXPECT_ERRNO(control.try_call(request, pointer), EFAULT);
	for (void *pointer : pointers) {
		Raw create;
		create.set(0, 1u);
		create.set(4, pointer);
		EXPECT_ERRNO(control.try_call(0x40185605, create.get()), EFAULT);
	}
	EXPECT_EQ(control.snapshots(), 0u);
	EXPECT_EQ(control.trackers(), 0u);
}

// --- rights ----------------------------------------------------------------------------------

TEST(a_node_that_root_opened_is_of_no_use_to_others)
{
	const Control control;
	EveryRequest requests(control);
	Child child([&] {
		become_nobody();
		requests.expect_refused(control);
		for (const std::uint32_t request : kRequests)
			EXPECT_ERRNO(control.try_call(request, nullptr), EPERM);
		EXPECT_ERRNO(control.try_call(0x40105602, nullptr), EPERM); // of 64-bit programs
		return 0;
	});
	EXPECT_EQ(child.wait(), 0);
	requests.expect_accepted();
}

// --- an agent --------------------------------------------------------------------------------

TEST(a_whole_backup_works)
{
	const Control control;
	const NullDisk origin(32), store(32);
	origin.fill(1, 0, 4096);
	{
		const Snapshot snapshot(control, {&origin}, Snapshot::Trackers::Keep);
		snapshot.take_with(store);
		origin.fill(2, 256, 128);
		EXPECT(snapshot.image_of(origin).holds(1, 0, 4096));
	}
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	EXPECT_EQ(changed_blocks(control, origin.number(), 1), std::vector<unsigned>{2});
}
