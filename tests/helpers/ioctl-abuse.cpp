// SPDX-License-Identifier: GPL-2.0
//
// ioctl-abuse: what programs must not be able to do through /dev/blksnap. Prints TAP.
//
//   ioctl-abuse ORIGIN STORE
//
// ORIGIN is snapshotted, its content does not matter; STORE has room for the copies. Both must be
// free. What a test leaves is counted at its end: no snapshot may be left behind by a failure.
#include "control.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <random>
#include <thread>

namespace
{

int tests = 0;
int failures = 0;

void report(bool passed, const std::string &name)
{
	std::printf("%s %d - %s\n", passed ? "ok" : "not ok", ++tests, name.c_str());
	std::fflush(stdout);
	failures += !passed;
}

void expect(const std::string &name, int got, int wanted)
{
	if (got != wanted)
		std::printf("# got %d (%s), wanted %d (%s)\n", got, strerror(got), wanted,
			    strerror(wanted));
	report(got == wanted, name);
}

double now()
{
	timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Memory at an address that a 32-bit program could have.
void *low_memory(int protection = PROT_READ | PROT_WRITE)
{
	void *memory = mmap(nullptr, 65536, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (memory == MAP_FAILED)
		throw std::system_error(errno, std::generic_category(), "mmap");
	return memory;
}

// The ioctl as a 32-bit program makes it. Return: its result, or a negative errno.
int compat_ioctl(int fd, std::uint32_t request, const void *argument)
{
	long result;
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(54L), "b"(static_cast<long>(fd)), "c"(static_cast<long>(request)),
		       "d"(reinterpret_cast<long>(argument))
		     : "memory", "r8", "r9", "r10", "r11");
	return static_cast<int>(result);
}

const std::uint32_t kRequests[] = {
	0x40085600, 0x40085601, 0x40105602, 0x80185603, 0x80185604, 0x40205605,
	0x80105606, 0x40285607, 0x80105608, 0x40105609, 0x4020560a, 0x5000560b,
};
constexpr std::uint64_t kStoreSectors = 65536;
constexpr blk_snap_uuid kUnknown = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

bool is_known(std::uint32_t request)
{
	for (const std::uint32_t known : kRequests)
		if (known == request)
			return true;
	return false;
}

class Abuse {
public:
	Abuse(const std::string &origin, const std::string &store)
		: origin_(device_of(origin)), store_(device_of(store))
	{
	}

	int run()
	{
		std::printf("TAP version 13\n");
		version();
		numbers();
		pointers();
		hidden_answer();
		counts();
		states();
		storage();
		maps();
		rights();
		compat();
		waiting();
		concurrent_takes();
		storm();
		std::printf("1..%d\n# Totals: pass:%d fail:%d skip:0\n", tests, tests - failures, failures);
		return failures ? 1 : 0;
	}

private:
	blk_snap_uuid taken()
	{
		const blk_snap_uuid id = control_.create({origin_});
		if (control_.try_append(id, store_, {{0, kStoreSectors}}) || control_.try_take(id))
			throw std::runtime_error("cannot take a snapshot");
		return id;
	}

	int try_create(std::vector<blk_snap_dev> devices)
	{
		blk_snap_snapshot_create argument{};
		argument.count = static_cast<__u32>(devices.size());
		argument.dev_id_array = devices.data();
		const int error = control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &argument);
		if (!error)
			control_.try_destroy(argument.id);
		return error;
	}

	int remove_tracker(blk_snap_dev device)
	{
		blk_snap_tracker_remove argument{device};
		return control_.try_call(IOCTL_BLK_SNAP_TRACKER_REMOVE, &argument);
	}

	int wait_event(const blk_snap_uuid &id, __u32 timeout_ms, blk_snap_snapshot_event &event)
	{
		event.id = id;
		event.timeout_ms = timeout_ms;
		return control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, &event);
	}

	void version()
	{
		blk_snap_version version{};
		expect("VERSION", control_.try_call(IOCTL_BLK_SNAP_VERSION, &version), 0);
		report(version.major >= 1, "VERSION says something");
	}

	// --- numbers -------------------------------------------------------------------------

	void numbers()
	{
		static char memory[65536];
		unsigned wrong = 0;
		const auto probe = [&](std::uint32_t request) {
			if (is_known(request) || (request >> 8 & 0xff) != 'V')
				return;
			const int error = control_.try_call(request, memory);
			if (error != ENOTTY && wrong++ < 5)
				std::printf("# %#x: %d\n", request, error);
		};
		for (const std::uint32_t known : kRequests) {
			for (const std::uint32_t direction : {0u, 1u, 2u, 3u})
				probe((known & 0x3fffffff) | direction << 30);
			for (const std::uint32_t size : {0u, 1u, 4u, 8u, 12u, 16u, 20u, 24u, 32u, 40u, 44u,
							 4095u, 4097u, 8192u, 16383u})
				probe((known & 0xc000ffff) | size << 16);
			for (std::uint32_t bit = 0; bit < 32; bit++)
				probe(known ^ (1u << bit));
		}
		for (std::uint32_t nr = 12; nr < 256; nr++)
			for (const std::uint32_t shape : {0u, 0x40080000u, 0x80100000u, 0x40100000u, 0xc0200000u})
				probe(shape | 'V' << 8 | nr);
		expect("unknown numbers, sizes and directions are ENOTTY", static_cast<int>(wrong), 0);
		expect("type of a terminal is ENOTTY", control_.try_call(0x5401, memory), ENOTTY);
		for (const std::uint32_t nr : {12u, 32u, 33u, 34u})
			expect("number " + std::to_string(nr) + " is ENOTTY",
			       control_.try_call(0x40085600u | nr, memory), ENOTTY);
		unsigned accepted = 0;
		for (const std::uint32_t known : kRequests)
			accepted += control_.try_call(known, nullptr) != ENOTTY;
		expect("the twelve numbers are known", static_cast<int>(accepted), 12);
	}

	// --- pointers ------------------------------------------------------------------------

	void pointers()
	{
		void *const bad[] = {nullptr, reinterpret_cast<void *>(8),
				     reinterpret_cast<void *>(~0xfffUL), // the kernel's
				     reinterpret_cast<void *>(0xffff888000000000UL)};
		unsigned wrong = 0;
		for (const std::uint32_t request : kRequests) {
			for (void *pointer : bad) {
				const int error = control_.try_call(request, pointer);
				if (error != EFAULT && wrong++ < 5)
					std::printf("# %#x %p: %d\n", request, pointer, error);
			}
		}
		expect("bad arguments are EFAULT", static_cast<int>(wrong), 0);

		blk_snap_snapshot_create create{};
		create.count = 1;
		for (void *pointer : bad) {
			create.dev_id_array = static_cast<blk_snap_dev *>(pointer);
			expect("CREATE with a bad array is EFAULT",
			       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), EFAULT);
		}
		expect("no snapshot is left", static_cast<int>(control_.snapshots()), 0);
		expect("no tracker is left", static_cast<int>(control_.trackers()), 0);

		const blk_snap_uuid id = control_.create({origin_});
		blk_snap_snapshot_append_storage append{};
		append.id = id;
		append.dev_id = store_;
		append.count = 1;
		append.ranges = static_cast<blk_snap_block_range *>(bad[2]);
		expect("APPEND with bad ranges is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append), EFAULT);
		expect("... and nothing was added", control_.try_take(id), ENOSPC);

		blk_snap_tracker_collect trackers{};
		trackers.count = 16;
		trackers.cbt_info_array = static_cast<blk_snap_cbt_info *>(bad[1]);
		expect("TRACKER_COLLECT into a bad array is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), EFAULT);
		blk_snap_snapshot_collect collect{};
		collect.count = 16;
		collect.ids = static_cast<blk_snap_uuid *>(bad[1]);
		expect("COLLECT into a bad array is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), EFAULT);
		blk_snap_tracker_mark_dirty_blocks dirty{};
		dirty.dev_id = origin_;
		dirty.count = 1;
		dirty.dirty_blocks_array = static_cast<blk_snap_block_range *>(bad[1]);
		expect("MARK_DIRTY with bad ranges is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), EFAULT);
		control_.try_destroy(id);

		const blk_snap_uuid held = taken();
		blk_snap_snapshot_collect_images images{};
		images.id = held;
		images.count = 16;
		images.image_info_array = static_cast<blk_snap_image_info *>(bad[1]);
		expect("COLLECT_IMAGES into a bad array is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images), EFAULT);
		blk_snap_tracker_read_cbt_bitmap map{};
		map.dev_id = origin_;
		map.length = 16;
		map.buff = static_cast<__u8 *>(bad[2]);
		expect("READ_CBT_MAP into a bad buffer is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &map), EFAULT);
		control_.try_destroy(held);
	}

	// Arguments that can be read, not written: the answer cannot be told.
	void hidden_answer()
	{
		void *page = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		blk_snap_dev device = origin_;
		auto *create = new (page) blk_snap_snapshot_create{};
		create->count = 1;
		create->dev_id_array = &device;
		mprotect(page, 8192, PROT_READ);
		expect("CREATE that cannot tell its id is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, page), EFAULT);
		expect("... and leaves no snapshot", static_cast<int>(control_.snapshots()), 0);

		const blk_snap_uuid id = control_.create({origin_});
		mprotect(page, 8192, PROT_READ | PROT_WRITE);
		auto *event = new (page) blk_snap_snapshot_event{};
		event->id = id;
		event->timeout_ms = 100;
		mprotect(page, 8192, PROT_READ);
		expect("WAIT_EVENT that cannot tell the event is EFAULT",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, page), EFAULT);
		blk_snap_snapshot_event again{};
		expect("... and the event is not lost", wait_event(id, 100, again), 0);
		expect("... it asks for the first portion", static_cast<int>(again.code),
		       blk_snap_event_code_low_free_space);
		control_.try_destroy(id);
		munmap(page, 8192);
	}

	// --- counts and states ---------------------------------------------------------------

	void counts()
	{
		blk_snap_dev device = origin_;
		blk_snap_snapshot_create create{};
		create.dev_id_array = &device;
		for (const __u32 count : {0u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
			create.count = count;
			expect("CREATE of " + std::to_string(count) + " devices is EINVAL",
			       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), EINVAL);
		}
		const blk_snap_uuid id = control_.create({origin_});
		blk_snap_block_range range{0, 8};
		blk_snap_snapshot_append_storage append{};
		append.id = id;
		append.dev_id = store_;
		append.ranges = &range;
		blk_snap_tracker_mark_dirty_blocks dirty{};
		dirty.dev_id = origin_;
		dirty.dirty_blocks_array = &range;
		for (const __u32 count : {0x10000001u, 0x80000000u, 0xffffffffu}) {
			append.count = dirty.count = count;
			expect("APPEND of " + std::to_string(count) + " ranges is EINVAL",
			       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, &append), EINVAL);
			expect("MARK_DIRTY of " + std::to_string(count) + " ranges is EINVAL",
			       control_.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), EINVAL);
		}
		blk_snap_uuid ids[4];
		blk_snap_snapshot_collect collect{};
		collect.count = 0xffffffff;
		collect.ids = ids;
		expect("COLLECT with boundless room", control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect),
		       0);
		expect("... fills one", static_cast<int>(collect.count), 1);
		report(!memcmp(&ids[0], &id, sizeof(id)), "... which is ours");
		report((id.b[6] & 0xf0) == 0x40 && (id.b[8] & 0xc0) == 0x80, "ids are version 4 UUIDs");
		control_.try_destroy(id);
	}

	void states()
	{
		expect("CREATE with a device twice is EINVAL", try_create({origin_, origin_}), EINVAL);
		expect("CREATE of a missing device is ENXIO", try_create({{240, 77}}), ENXIO);
		expect("CREATE of impossible numbers is ENXIO", try_create({{~0u, ~0u}}), ENXIO);
		expect("no snapshot is left", static_cast<int>(control_.snapshots()), 0);
		expect("DESTROY of an unknown snapshot is ENODEV", control_.try_destroy(kUnknown), ENODEV);
		expect("TAKE of an unknown snapshot is ESRCH", control_.try_take(kUnknown), ESRCH);
		expect("APPEND to an unknown snapshot is ESRCH",
		       control_.try_append(kUnknown, store_, {{0, 8}}), ESRCH);
		blk_snap_snapshot_event event{};
		expect("WAIT_EVENT of an unknown snapshot is ESRCH", wait_event(kUnknown, 10, event), ESRCH);

		blk_snap_snapshot_collect_images images{};
		images.id = kUnknown;
		expect("COLLECT_IMAGES of an unknown snapshot is ESRCH",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images), ESRCH);

		const blk_snap_uuid id = control_.create({origin_});
		images.id = id;
		expect("COLLECT_IMAGES before the take is ENODEV",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images), ENODEV);
		expect("a device in two snapshots is EALREADY", try_create({origin_}), EALREADY);
		expect("TAKE without storage is ENOSPC", control_.try_take(id), ENOSPC);
		expect("TRACKER_REMOVE while created is EBUSY", remove_tracker(origin_), EBUSY);
		expect("APPEND", control_.try_append(id, store_, {{0, kStoreSectors}}), 0);
		expect("TAKE", control_.try_take(id), 0);
		expect("second TAKE is EALREADY", control_.try_take(id), EALREADY);
		expect("TRACKER_REMOVE while taken is EBUSY", remove_tracker(origin_), EBUSY);

		blk_snap_image_info info{};
		images.count = 0;
		images.image_info_array = &info;
		expect("COLLECT_IMAGES without room is ENODATA",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &images), ENODATA);
		expect("... and says how much it needs", static_cast<int>(images.count), 1);
		const auto found = control_.images(id).at(0);
		report(found.orig_dev_id.mj == origin_.mj && found.orig_dev_id.mn == origin_.mn,
		       "COLLECT_IMAGES names the origin");
		expect("an image is no original device", try_create({found.image_dev_id}), EINVAL);
		expect("an image is no storage", control_.try_append(id, found.image_dev_id, {{0, 8}}), EINVAL);
		collect_rooms();
		expect("DESTROY", control_.try_destroy(id), 0);
		expect("second DESTROY is ENODEV", control_.try_destroy(id), ENODEV);
		expect("TRACKER_REMOVE", remove_tracker(origin_), 0);
		expect("second TRACKER_REMOVE is ENODATA", remove_tracker(origin_), ENODATA);
		expect("TRACKER_REMOVE of a missing device is ENXIO", remove_tracker({240, 77}), ENXIO);
	}

	// One snapshot and one tracker are there.
	void collect_rooms()
	{
		blk_snap_uuid id;
		blk_snap_snapshot_collect collect{};
		collect.ids = &id;
		expect("COLLECT without room is ENODATA",
		       control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), ENODATA);
		expect("... and says how much it needs", static_cast<int>(collect.count), 1);
		blk_snap_cbt_info info;
		memset(&info, 0xff, sizeof(info));
		blk_snap_tracker_collect trackers{};
		trackers.cbt_info_array = &info;
		expect("TRACKER_COLLECT without room is ENOBUFS",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), ENOBUFS);
		expect("... and says how much it needs", static_cast<int>(trackers.count), 1);
		expect("TRACKER_COLLECT", control_.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers), 0);
		report(info.dev_id.mj == origin_.mj && info.dev_id.mn == origin_.mn && info.blk_size >= 65536 &&
			       __u64{info.blk_count} * info.blk_size >= info.device_capacity &&
			       info.snap_number >= 1,
		       "TRACKER_COLLECT tells what is");
		const auto *bytes = reinterpret_cast<const unsigned char *>(&info);
		report(!bytes[12] && !bytes[15] && !bytes[45] && !bytes[47], "holes read as zero");
	}

	// --- storage -------------------------------------------------------------------------

	void storage()
	{
		const blk_snap_uuid id = control_.create({origin_});
		const auto refuse = [&](const char *name, std::vector<blk_snap_block_range> ranges) {
			expect(std::string("APPEND of ") + name + " is EINVAL",
			       control_.try_append(id, store_, std::move(ranges)), EINVAL);
		};
		refuse("an empty range", {{0, 0}});
		refuse("a range beyond the end", {{~0ULL / 1024, 8}});
		refuse("a range across the end", {{8, ~0ULL >> 12}});
		refuse("a range that wraps", {{~0ULL - 7, 16}});
		refuse("a range whose length wraps", {{8, ~0ULL}});
		refuse("overlapping ranges", {{0, 64}, {32, 64}});
		refuse("a good and a bad range", {{0, 64}, {64, 0}});
		expect("none of this was added", control_.try_take(id), ENOSPC);
		expect("APPEND", control_.try_append(id, store_, {{0, 64}}), 0);
		refuse("what was given before", {{56, 16}});
		expect("APPEND of a piece too small to use", control_.try_append(id, store_, {{65, 3}}), 0);
		expect("APPEND on a missing device is ENXIO", control_.try_append(id, {240, 77}, {{0, 8}}), ENXIO);
		control_.try_destroy(id);
	}

	// --- change maps ---------------------------------------------------------------------

	void maps()
	{
		blk_snap_tracker_read_cbt_bitmap map{};
		static __u8 bytes[1 << 20];
		map.dev_id = origin_;
		map.length = sizeof(bytes);
		map.buff = bytes;
		const auto read = [&](__u32 offset, __u32 length) {
			map.offset = offset;
			map.length = length;
			const int result = ioctl(control_.fd(), IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, &map);
			return result < 0 ? -errno : result;
		};
		remove_tracker(origin_);
		expect("READ_CBT_MAP untracked is ENODATA", -read(0, 16), ENODATA);
		const blk_snap_uuid id = control_.create({origin_});
		expect("READ_CBT_MAP before the take is EPERM", -read(0, 16), EPERM);
		control_.try_append(id, store_, {{0, kStoreSectors}});
		expect("TAKE", control_.try_take(id), 0);
		blk_snap_cbt_info info;
		blk_snap_tracker_collect trackers{};
		trackers.count = 1;
		trackers.cbt_info_array = &info;
		control_.try_call(IOCTL_BLK_SNAP_TRACKER_COLLECT, &trackers);
		const auto blocks = static_cast<int>(info.blk_count);
		expect("READ_CBT_MAP of all", read(0, sizeof(bytes)), blocks);
		expect("READ_CBT_MAP is short at the end", read(info.blk_count - 3, 16), 3);
		expect("READ_CBT_MAP at the end", read(info.blk_count, 16), 0);
		expect("READ_CBT_MAP of nothing", read(0, 0), 0);
		expect("READ_CBT_MAP beyond the end is EINVAL", -read(info.blk_count + 1, 16), EINVAL);
		expect("READ_CBT_MAP far beyond the end is EINVAL", -read(~0u, ~0u), EINVAL);

		blk_snap_block_range ranges[2] = {{0, 1}, {~0ULL - 4, 16}};
		blk_snap_tracker_mark_dirty_blocks dirty{};
		dirty.dev_id = origin_;
		dirty.count = 2;
		dirty.dirty_blocks_array = ranges;
		expect("MARK_DIRTY outside is EINVAL",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), EINVAL);
		read(0, 1);
		expect("... and marks nothing", bytes[0], 0);
		ranges[1] = {info.device_capacity / 512 - 1, 1};
		expect("MARK_DIRTY", control_.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), 0);
		read(0, sizeof(bytes));
		report(bytes[0] && bytes[blocks - 1] && !bytes[1] && !bytes[blocks - 2],
		       "... marks what it names");
		ranges[0] = {64 * 128, 0};
		dirty.count = 1;
		expect("MARK_DIRTY of nothing",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), 0);
		read(0, sizeof(bytes));
		expect("... marks nothing", bytes[64], 0);
		control_.try_destroy(id);
		remove_tracker(origin_);
		expect("MARK_DIRTY untracked is ENODEV",
		       control_.try_call(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, &dirty), ENODEV);
	}

	// --- rights --------------------------------------------------------------------------

	// In a child, which may be killed: its status.
	static pid_t spawn(const std::function<int()> &job)
	{
		const pid_t child = fork();
		if (child == 0)
			_exit(job());
		return child;
	}

	static int status_of(pid_t child)
	{
		int status = 0;
		if (waitpid(child, &status, 0) != child)
			return -1;
		return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
	}

	void rights()
	{
		const pid_t child = spawn([this] {
			static char memory[65536];
			if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
				return 1;
			for (const std::uint32_t request : kRequests)
				if (control_.try_call(request, memory) != EPERM)
					return 2;
			return open("/dev/blksnap", O_RDWR) < 0 && errno == EACCES ? 0 : 3;
		});
		expect("without rights an open node gives EPERM, and cannot be opened", status_of(child), 0);
	}

	// --- 32-bit programs -----------------------------------------------------------------

	void compat()
	{
		char *memory = static_cast<char *>(low_memory());
		const auto at = [&](std::size_t offset) { return reinterpret_cast<__u32 *>(memory + offset); };
		const auto address = [&](std::size_t offset) {
			return static_cast<__u32>(reinterpret_cast<std::uintptr_t>(memory + offset));
		};
		const int fd = control_.fd();

		expect("32 bit: VERSION", -compat_ioctl(fd, 0x40085600, memory), 0);
		*at(0) = 1; // CREATE: count, pointer, id at 8
		*at(4) = address(256);
		*at(256) = origin_.mj;
		*at(260) = origin_.mn;
		expect("32 bit: the 64-bit number is ENOTTY", -compat_ioctl(fd, 0x40205605, memory), ENOTTY);
		expect("32 bit: CREATE", -compat_ioctl(fd, 0x40185605, memory), 0);
		blk_snap_uuid id;
		memcpy(&id, memory + 8, sizeof(id));
		memset(memory, 0, 512); // APPEND: id, device at 16, count at 24, pointer at 28
		memcpy(memory, &id, sizeof(id));
		*at(16) = store_.mj;
		*at(20) = store_.mn;
		*at(24) = 1;
		*at(28) = address(256);
		*at(264) = kStoreSectors;
		expect("32 bit: APPEND", -compat_ioctl(fd, 0x40205607, memory), 0);
		expect("32 bit: TAKE", -compat_ioctl(fd, 0x80105608, memory), 0);
		*at(16) = 4; // COLLECT_IMAGES: id, count at 16, pointer at 20
		*at(20) = address(256);
		expect("32 bit: COLLECT_IMAGES", -compat_ioctl(fd, 0x4018560a, memory), 0);
		report(*at(16) == 1 && *at(256) == origin_.mj && *at(260) == origin_.mn,
		       "32 bit: it names the origin");
		memset(memory, 0xff, 512);
		*at(0) = 4; // TRACKER_COLLECT: count, pointer
		*at(4) = address(256);
		expect("32 bit: TRACKER_COLLECT", -compat_ioctl(fd, 0x40085602, memory), 0);
		report(*at(0) == 1 && *at(256) == origin_.mj && *at(264) >= 65536 && memory[256 + 40] == 1 &&
			       !memory[256 + 41] && *at(256 + 44) == 0xffffffff,
		       "32 bit: 44 bytes with the right values");
		const __u32 blocks = *at(256 + 20);
		*at(0) = origin_.mj; // READ_CBT_MAP: device, offset at 8, length at 12, pointer at 16
		*at(4) = origin_.mn;
		*at(8) = 0;
		*at(12) = 65536 - 4096;
		*at(16) = address(4096);
		const int got = compat_ioctl(fd, 0x80145603, memory);
		expect("32 bit: READ_CBT_MAP", got, static_cast<int>(blocks < 61440 ? blocks : 61440));
		*at(0) = 4; // COLLECT: count, pointer
		*at(4) = address(256);
		expect("32 bit: COLLECT", -compat_ioctl(fd, 0x40085609, memory), 0);
		report(*at(0) == 1 && !memcmp(memory + 256, &id, sizeof(id)), "32 bit: it names the snapshot");
		memset(memory, 0, 8192);
		memcpy(memory, &id, sizeof(id));
		*at(16) = 1000;
		expect("32 bit: WAIT_EVENT", -compat_ioctl(fd, 0x5000560b, memory), 0);
		expect("32 bit: DESTROY", -compat_ioctl(fd, 0x80105606, memory), 0);
		munmap(memory, 65536);
	}

	// --- waiting -------------------------------------------------------------------------

	void waiting()
	{
		const blk_snap_uuid id = control_.create({origin_});
		blk_snap_snapshot_event event{};
		expect("the first portion is asked for at once", wait_event(id, 0, event), 0);
		report(event.time_label > 0, "... with a time");
		double begin = now();
		expect("WAIT_EVENT times out with ENOENT", wait_event(id, 700, event), ENOENT);
		double seconds = now() - begin;
		std::printf("# waited %.3f s of 0.7\n", seconds);
		report(seconds >= 0.69 && seconds < 3, "... after as many milliseconds");

		pid_t child = spawn([&] { return wait_event(id, 600000, event); });
		usleep(300000);
		begin = now();
		kill(child, SIGKILL);
		expect("a waiter can be killed", status_of(child), 256 + SIGKILL);
		report(now() - begin < 2, "... at once");

		child = spawn([&] {
			struct sigaction action {};
			action.sa_handler = [](int) {};
			sigaction(SIGUSR1, &action, nullptr);
			return wait_event(id, 600000, event);
		});
		usleep(300000);
		kill(child, SIGUSR1);
		expect("a signal ends the wait with EINTR", status_of(child), EINTR);

		std::vector<pid_t> waiters;
		for (int i = 0; i < 8; i++)
			waiters.push_back(spawn([&] { return wait_event(id, 600000, event); }));
		usleep(300000);
		begin = now();
		expect("DESTROY with eight waiters", control_.try_destroy(id), 0);
		unsigned woken = 0;
		for (const pid_t waiter : waiters)
			woken += status_of(waiter) == ESRCH;
		seconds = now() - begin;
		expect("... wakes them with ESRCH", static_cast<int>(woken), 8);
		std::printf("# took %.3f s\n", seconds);
		report(seconds < 5, "... soon");
	}

	// --- several at once -----------------------------------------------------------------

	void concurrent_takes()
	{
		unsigned single = 0, clean = 0;
		for (int round = 0; round < 10; round++) {
			const blk_snap_uuid id = control_.create({origin_});
			control_.try_append(id, store_, {{0, kStoreSectors}});
			std::atomic<bool> go = false;
			std::atomic<unsigned> won = 0, already = 0;
			std::vector<std::thread> threads;
			for (int i = 0; i < 6; i++)
				threads.emplace_back([&] {
					while (!go)
						sched_yield();
					const int error = control_.try_take(id);
					won += error == 0;
					already += error == EALREADY;
				});
			go = true;
			for (std::thread &thread : threads)
				thread.join();
			single += won == 1 && already == 5;
			clean += control_.images(id).size() == 1;
			control_.try_destroy(id);
		}
		expect("of six concurrent takes one wins, ten times", static_cast<int>(single), 10);
		expect("... and there is one image each time", static_cast<int>(clean), 10);
	}

	// Create, append, take, collect and destroy by several threads on one device.
	void storm()
	{
		const double end = now() + 5;
		std::atomic<unsigned> taken = 0, odd = 0;
		std::vector<std::thread> threads;
		for (unsigned seed = 0; seed < 4; seed++)
			threads.emplace_back([&, seed] {
				std::mt19937 random(seed);
				while (now() < end)
					storm_once(random, taken, odd);
			});
		for (std::thread &thread : threads)
			thread.join();
		std::printf("# %u takes\n", taken.load());
		report(taken > 0, "four threads create, take and destroy");
		expect("... with expected errors only", static_cast<int>(odd.load()), 0);
		expect("... and leave no snapshot", static_cast<int>(control_.snapshots()), 0);
		expect("the tracker goes", remove_tracker(origin_), 0);
	}

	void storm_once(std::mt19937 &random, std::atomic<unsigned> &taken, std::atomic<unsigned> &odd)
	{
		blk_snap_dev device = origin_;
		blk_snap_snapshot_create create{};
		create.count = 1;
		create.dev_id_array = &device;
		const auto allow = [&](int error, std::initializer_list<int> expected) {
			for (const int one : expected)
				if (error == one)
					return error;
			if (odd++ < 5)
				std::printf("# errno %d\n", error);
			return error;
		};
		// Another thread holds the device most of the time, or ends what we made.
		if (allow(control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, &create), {0, EALREADY})) {
			blk_snap_uuid ids[8];
			blk_snap_snapshot_collect collect{};
			collect.count = 8;
			collect.ids = ids;
			allow(control_.try_call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &collect), {0});
			if (collect.count && collect.count <= 8 && random() % 16 == 0)
				allow(control_.try_destroy(ids[0]), {0, ENODEV});
			if (random() % 64 == 0)
				allow(remove_tracker(origin_), {0, EBUSY, ENODATA});
			return;
		}
		allow(control_.try_append(create.id, store_, {{0, kStoreSectors}}), {0, ESRCH});
		taken += allow(control_.try_take(create.id), {0, ESRCH, ENOSPC}) == 0;
		allow(control_.try_destroy(create.id), {0, ENODEV});
	}

	Control control_;
	blk_snap_dev origin_;
	blk_snap_dev store_;
};

} // namespace

int main(int count, char **words)
{
	if (count != 3) {
		std::fprintf(stderr, "usage: ioctl-abuse ORIGIN STORE\n");
		return 2;
	}
	try {
		return Abuse(words[1], words[2]).run();
	} catch (const std::exception &error) {
		std::printf("Bail out! %s\n", error.what());
		return 1;
	}
}
