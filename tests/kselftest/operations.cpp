// SPDX-License-Identifier: GPL-2.0
//
// operations: kinds of requests and their flags, at a held origin and at an image. The table of
// Documentation/operations.rst names these tests; discards and zeroes are in the area discard.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "block_trace.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "mount.hpp"
#include "process.hpp"

#include <linux/fs.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>

using namespace kselftest;

namespace
{

constexpr std::uint64_t kTrackingSectors = 128;
constexpr std::uint64_t kAt = 4 * kTrackingSectors; // where tests write: tracking block 4

const std::vector<unsigned> kNothing;
const std::vector<unsigned> kBlock4{4};

bool any_of(const std::vector<std::string> &letters, const std::string &beginning)
{
	return std::any_of(letters.begin(), letters.end(),
			   [&](const std::string &each) { return each.starts_with(beginning); });
}

std::string joined(const std::vector<std::string> &letters)
{
	std::string all;
	for (const std::string &each : letters)
		all += each + " ";
	return all;
}

std::string queue(const Disk &disk, const std::string &attribute)
{
	return read_line("/sys/block/" + disk.name() + "/queue/" + attribute);
}

// A disk with a volatile cache that takes FUA.
class CachedDisk : public ScsiDisk
{
public:
	CachedDisk() : ScsiDisk({"dev_size_mb=64", "delay=0"})
	{
		if (queue(*this, "write_cache") != "write back" || queue(*this, "fua") != "1")
			skip("scsi_debug has no write cache with FUA here");
	}
};

// udev looks at a disk after each close of a writer. What it leaves in the page cache of the disk has to be
// taken out before a direct write, which a write that may not wait will not do.
void drop_page_cache(const Disk &disk)
{
	settle_udev();
	if (ioctl(BlockFile(disk, O_RDONLY).fd(), BLKFLSBUF))
		throw std::system_error(errno, std::generic_category(), "BLKFLSBUF");
}

// A disk that holds each write back for a moment and cannot be asked not to wait.
std::string delay_table(const Disk &lower, unsigned milliseconds)
{
	const std::string path = lower.path() + " 0 ";

	return "0 " + std::to_string(lower.sectors()) + " delay " + path + "0 " + path +
	       std::to_string(milliseconds);
}

} // namespace

// --- reads, writes, flushes ------------------------------------------------------------------

TEST(reads_are_neither_copied_nor_marked)
{
	const NullDisk origin(64), store(1);
	Held held(origin, store);
	const BlockFile file(origin);
	Bytes bytes(64 << 10);
	for (std::uint64_t sector = 0; sector < Held::kSectors; sector += kTrackingSectors)
		EXPECT_ERRNO(file.read(sector, bytes, sector % 256 ? RWF_NOWAIT : 0), 0);
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kNothing);
}

TEST(writes_are_copied_and_marked)
{
	const NullDisk origin(64), store(64);
	Held held(origin, store);
	origin.fill(1, kAt + 3, 1);
	EXPECT(!held.origin_is_old(kAt, 8));
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kBlock4);
}

TEST(an_empty_flush_passes_and_marks_nothing)
{
	const CachedDisk origin;
	const NullDisk store(64);
	Held held(origin, store);
	const BlockTrace trace(origin);
	EXPECT_ERRNO(BlockFile(origin).flush(), 0);
	if (!EXPECT(any_of(trace.issued(), "F")))
		note("issued: %s", joined(trace.issued()).c_str());
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kNothing);
}

TEST(fua_reaches_the_device_with_and_without_a_copy)
{
	const CachedDisk origin;
	const NullDisk store(64);
	const Bytes bytes = pattern(2, 8);
	Held held(origin, store);
	const BlockFile file(origin);
	for (const char *touch : {"first", "second"}) {
		const BlockTrace trace(origin);
		EXPECT_ERRNO(file.write(kAt, bytes, RWF_DSYNC), 0);
		if (!EXPECT(any_of(trace.issued(kAt, 8), "WF")))
			note("%s touch: %s", touch, joined(trace.issued()).c_str());
	}
	EXPECT(origin.read(kAt, 8) == bytes);
	EXPECT(held.image_is_right());
}

// The commit of a journal is a write with PREFLUSH and FUA; metadata and what is waited for have
// their own flags. Copies come before such writes, and the writes go down as they were.
TEST(flags_of_a_file_system_stay_as_they_are)
{
	const CachedDisk origin;
	const NullDisk store(64);
	const Control control;
	make_file_system(origin, "ext4");
	Mount mount(origin);
	mount.write_files("then", 10, 40);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const BlockTrace trace(origin);
	mount.write_files("now", 10, 40);
	mount.remove_files("then", 5);
	EXPECT_ERRNO(mount.sync(), 0);
	const auto issued = trace.issued();
	// PREFLUSH, then FUA: the block layer makes a flush and a write of the two.
	const bool good = any_of(issued, "FF") && any_of(issued, "WFSM") && any_of(issued, "WSM");
	if (!EXPECT(good))
		note("issued: %s", joined(issued).c_str());
	EXPECT_EQ(find_damage(snapshot.image_of(origin), "ext4"), "");
	const Mount image(snapshot.image_of(origin), "ro,norecovery");
	EXPECT(image.holds_files("then", 10, 40));
	EXPECT(!exists(image.path() + "/now0"));
}

// --- NOWAIT ----------------------------------------------------------------------------------

// A write that needs a copy is held, not refused.
TEST(nowait_writes_are_done_and_copied)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	drop_page_cache(origin);
	const BlockFile file(origin);
	for (std::uint64_t sector = 0; sector < Held::kSectors; sector += 8)
		REQUIRE_ERRNO(file.write(sector, pattern(sector, 8), RWF_NOWAIT), 0);
	for (std::uint64_t sector = 0; sector < Held::kSectors; sector += 8)
		REQUIRE(origin.holds(sector, sector, 8));
	EXPECT(held.image_is_right());
}

// What dm-crypt takes it queues itself, so the plug of its submitter stays empty: a write that needs a copy
// then reads it first, without the plug, in which newer kernels have noted the time.
TEST(writes_that_are_submitted_together_are_copied)
{
	const NullDisk lower(64), store(64);
	if (run({"modprobe", "dm-crypt"}).status)
		skip("no dm-crypt here");
	const DmDisk origin("0 131072 crypt aes-xts-plain64 " + std::string(64, '5') + " 0 " +
			    lower.path() + " 0");
	const Held held(origin, store);
	const BlockFile file(origin);
	const Bytes bytes = pattern(1, 8);
	REQUIRE_ERRNO(file.write(0, bytes), 0); // It is preserved from here on.
	for (std::uint64_t batch = 0; batch + 64 <= Held::kSectors; batch += 64) {
		std::vector<std::uint64_t> sectors{0};
		for (std::uint64_t sector = batch + 8; sector < batch + 64; sector += 8)
			sectors.push_back(sector);
		const int error = write_together(file, sectors, bytes);
		if (error == ENOSYS)
			skip("no aio here");
		REQUIRE_ERRNO(error, 0);
	}
	EXPECT(held.image_is_right());
}

// A busy device answers EAGAIN: then nothing is written; else it is. Never a success without a write.
TEST(a_nowait_write_is_done_or_refused_never_both, .timeout_seconds = 120)
{
	const NullDisk origin(64, {"irqmode=2", "completion_nsec=1000000", "hw_queue_depth=1"}),
		store(64);
	const Held held(origin, store);
	const BlockFile file(origin);
	Load load(origin, Held::kSectors, 8192);
	std::vector<std::uint64_t> shown(64, 0);
	unsigned refused = 0, done = 0;
	load.wait_for(1);
	for (unsigned round = 1; round <= 1000; round++) {
		const std::uint64_t block = round % shown.size();
		const int error = file.write(block * 8, pattern(round, 8), RWF_NOWAIT);
		if (error != EAGAIN)
			REQUIRE_ERRNO(error, 0);
		(error ? refused : done)++;
		if (!error)
			shown[block] = round;
	}
	EXPECT_ERRNO(load.stop(), 0);
	note("%u done, %u refused", done, refused);
	EXPECT(refused > 0);
	for (std::uint64_t block = 0; block < shown.size(); block++)
		if (shown[block])
			EXPECT(origin.holds(shown[block], block * 8, 8));
	EXPECT(held.image_is_right());
}

// Some drivers take no such request at all. That stays so when a copy would be needed.
TEST(nowait_is_refused_where_it_was_refused_before)
{
	const NullDisk lower(64), store(64);
	const DmDisk origin(delay_table(lower, 0));
	const BlockFile file(origin);
	const Bytes bytes = pattern(3, 8);
	if (file.write(kAt, bytes, RWF_NOWAIT) != EOPNOTSUPP)
		skip("dm-delay takes NOWAIT here");
	Held held(origin, store);
	drop_page_cache(origin);
	EXPECT_ERRNO(file.write(kAt, bytes, RWF_NOWAIT), EOPNOTSUPP);
	EXPECT(held.origin_is_old(0, Held::kSectors));
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == kNothing);
}

// --- ATOMIC ----------------------------------------------------------------------------------

// Such a write must not be split, so it is held as a whole, also where some blocks of it are copied already.
TEST(atomic_writes_are_done_whole_and_copied)
{
	const ScsiDisk origin({"dev_size_mb=64", "delay=0", "atomic_wr=1"});
	const NullDisk store(64);
	constexpr int kAtomic = 0x40; // RWF_ATOMIC, from Linux 6.11 on
	constexpr unsigned kSectors = 64;
	if (!exists(origin.sysfs() + "/queue/atomic_write_unit_max_bytes") ||
	    std::stoul(queue(origin, "atomic_write_unit_max_bytes")) < kSectors * 512)
		skip("no atomic writes here");
	Held held(origin, store);
	const BlockFile file(origin);
	EXPECT_EQ(queue(held.image(), "atomic_write_unit_max_bytes"), "0");
	for (std::uint64_t sector = 0; sector < 16 * kSectors; sector += kSectors) {
		REQUIRE_ERRNO(file.write(sector + 16, pattern(sector, 16)), 0);
		REQUIRE_ERRNO(file.write(sector, pattern(sector + 1, kSectors), kAtomic), 0);
		EXPECT(origin.holds(sector + 1, sector, kSectors));
	}
	EXPECT(held.image_is_right());
	EXPECT(held.changes() == std::vector<unsigned>({0, 1, 2, 3, 4, 5, 6, 7}));
	Bytes bytes = pattern(1, 8);
	EXPECT(BlockFile(held.image()).write(0, bytes, kAtomic) != 0);
}

// --- submitted before the attach -------------------------------------------------------------

// Targets like this one, thin and crypt show a write in the statistics only when they pass it down: nothing
// tells of one that came before the tracker. What the image shows of it must not change.
TEST(a_write_that_a_target_holds_since_before_the_attach_is_waited_for)
{
	const NullDisk other(16), store_of_other(16), lower(64), store(64);
	const DmDisk origin(delay_table(lower, 400));
	const Held hooked(other, store_of_other, 8); // else the attach takes longer than the write
	const BlockFile file(origin);
	REQUIRE_ERRNO(file.write(kAt, pattern(1, 8)), 0);
	Child writer([&] { return file.write(kAt, pattern(2, 8)); });
	writer.wait_until_asleep();
	const Control control;
	const Snapshot snapshot(control, {&origin});
	EXPECT_ERRNO(snapshot.append(store, {{0, 65536}}), 0);
	EXPECT_ERRNO(snapshot.take(), 0);
	EXPECT(snapshot.image_of(origin).holds(2, kAt, 8));
	EXPECT_EQ(writer.wait(), 0);
	EXPECT(snapshot.image_of(origin).holds(2, kAt, 8));
}

// --- POLLED ----------------------------------------------------------------------------------

TEST(polled_writes_are_done_and_copied)
{
	const NullDisk origin(64, {"submit_queues=1", "poll_queues=1"}), store(64);
	if (queue(origin, "io_poll") != "1")
		skip("null_blk has no queues to poll here");
	const Held held(origin, store);
	const BlockFile file(origin);
	const int first = polled_write(file, 0, pattern(1, 8));
	if (first == ENOSYS || first == EPERM)
		skip("no io_uring here");
	EXPECT_ERRNO(first, 0);
	for (std::uint64_t sector = 0; sector < 1024; sector += 8)
		for (const std::uint64_t touch : {1, 2})
			REQUIRE_ERRNO(polled_write(file, sector, pattern(sector + touch, 8)), 0);
	for (std::uint64_t sector = 0; sector < 1024; sector += 8)
		REQUIRE(origin.holds(sector + 2, sector, 8));
	EXPECT(held.image_is_right());
	// A polled request does not wait either, which an image does not promise.
	Bytes bytes(4096);
	EXPECT_ERRNO(polled_read(BlockFile(held.image()), 8, bytes), EOPNOTSUPP);
}

// --- swap ------------------------------------------------------------------------------------

namespace
{

// A group of processes of which one resource is limited.
class LimitedGroup
{
public:
	LimitedGroup(const std::string &controller, const std::string &file,
		     const std::string &limit)
	{
		std::ifstream controllers("/sys/fs/cgroup/cgroup.controllers");
		std::string name;
		bool found = false;
		while (controllers >> name)
			found |= name == controller;
		(void)write_file("/sys/fs/cgroup/cgroup.subtree_control", "+" + controller);
		if (!found || mkdir(kPath, 0755))
			skip("no controller of " + controller + " here");
		if (write_file(kPath + ("/" + file), limit)) {
			rmdir(kPath);
			skip(file + " cannot be set here");
		}
	}
	~LimitedGroup()
	{
		wait_until([] { return rmdir(kPath) == 0 || errno != EBUSY; });
	}
	LimitedGroup(const LimitedGroup &) = delete;
	LimitedGroup &operator=(const LimitedGroup &) = delete;

	static void enter() { (void)write_file(kPath + std::string("/cgroup.procs"), "0"); }

private:
	static constexpr const char *kPath = "/sys/fs/cgroup/kst-limited";
};

// Writes to more memory than there is, three times over, and finds what it wrote.
int use_memory(std::size_t mib)
{
	LimitedGroup::enter();
	std::vector<std::uint64_t> words((mib << 20) / 8);
	for (std::uint64_t round = 1; round <= 3; round++) {
		for (std::size_t i = 0; i < words.size(); i++)
			words[i] += i * round;
		for (std::size_t i = 0; i < words.size(); i++)
			if (words[i] != i * (round * (round + 1) / 2))
				return 2;
	}
	return 0;
}

std::uint64_t sectors_written(const Disk &disk)
{
	std::istringstream statistics(read_line("/sys/block/" + disk.name() + "/stat"));
	std::uint64_t value = 0;
	for (int field = 0; field < 7; field++)
		statistics >> value;
	return value;
}

} // namespace

TEST(swapping_goes_on_and_the_image_stays, .timeout_seconds = 180)
{
	const NullDisk origin(128), store(192);
	const Control control;
	const LimitedGroup group("memory", "memory.max", std::to_string(24 << 20));
	const std::uint64_t sectors = origin.sectors();
	for (std::uint64_t sector = 0; sector < sectors; sector += 16384)
		origin.fill(sector, sector, 16384);
	run_or_throw({"mkswap", "--quiet", origin.path()});
	run_or_throw({"swapon", origin.path()});
	struct Off {
		const Disk &disk;
		~Off() { (void)run({"swapoff", disk.path()}); }
	} const off{origin};
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const std::uint64_t before = sectors_written(origin);
	Child child([] { return use_memory(64); });
	EXPECT_EQ(child.wait(), 0);
	note("%llu MiB swapped",
	     static_cast<unsigned long long>((sectors_written(origin) - before) >> 11));
	EXPECT(sectors_written(origin) - before > 16384);
	EXPECT(!lost_image(snapshot, 0));
	const Disk image = snapshot.image_of(origin);
	// The first MiB has the header of the swap area.
	EXPECT(Disk(image).read(2048, 14336) == [&] {
		const Bytes all = pattern(0, 16384);
		return Bytes(all.begin() + (2048 << 9), all.end());
	}());
	for (std::uint64_t sector = 16384; sector < sectors; sector += 16384)
		EXPECT(image.holds(sector, sector, 16384));
}

// Held writes of a group that may do 20 a second go down with the others', and wait below us.
TEST(a_throttled_writer_holds_up_nobody_else)
{
	const NullDisk origin(64), store(64);
	const blk_snap_dev number = origin.number();
	const LimitedGroup group("io", "io.max",
				 std::to_string(number.mj) + ":" + std::to_string(number.mn) +
					 " wiops=20");
	const Held held(origin, store);
	void *shared =
		mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	auto &slow_writes = *new (shared) std::atomic<unsigned>(0);
	std::vector<std::unique_ptr<Child>> throttled;
	for (unsigned i = 0; i < 8; i++)
		throttled.push_back(std::make_unique<Child>([&, i] {
			LimitedGroup::enter();
			const BlockFile file(origin);
			for (std::uint64_t block = i;; block += 8, slow_writes++)
				if (const int error =
					    file.write(block * 8 % 4096, pattern(block, 8)))
					return error;
		}));
	EXPECT(wait_until([&] { return slow_writes > 20; }, 20));
	const unsigned slow_before = slow_writes;
	Load free(origin, 4096, 4096);
	const double begin = now();
	free.wait_for(400);
	const double seconds = now() - begin;
	note("400 writes in %.2f s, beside %u of the group", seconds, slow_writes - slow_before);
	EXPECT(seconds < 10);				       // 20 s at the rate of the group
	EXPECT(slow_writes - slow_before < 20 * seconds + 20); // which is limited indeed
	EXPECT_ERRNO(free.stop(), 0);
	EXPECT(held.image_is_right());
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
}

// When memory is so short that no thread can be made, the work on a write still has one: each queue of
// ours has a rescuer, a thread with the name of the queue; newer kernels put a word before it.
TEST(work_on_writes_has_threads_of_its_own)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	std::vector<std::string> names;
	for (const auto &entry : std::filesystem::directory_iterator("/proc"))
		if (const std::string name = read_line(entry.path().string() + "/comm");
		    name.starts_with("blksnap-"))
			names.push_back(name);
		else if (name.starts_with("kworker/R-blksnap-"))
			names.push_back(name.substr(strlen("kworker/R-"), 15));
	// Release of held bios, copies, the image; and for the snapshot its store and the watchdog.
	const std::string of_origin =
		("blksnap-" + origin.name()).substr(0, 15); // what is shown of it
	EXPECT_EQ(std::count(names.begin(), names.end(), of_origin), 3);
	EXPECT_EQ(std::count(names.begin(), names.end(), "blksnap-store"), 1);
	EXPECT_EQ(std::count(names.begin(), names.end(), "blksnap-watch"), 1);
}

// --- what is not seen ------------------------------------------------------------------------

// Commands of SG_IO do not pass the block layer as bios: a limit, told in the README.
TEST(passthrough_commands_work_and_are_not_seen)
{
	const ScsiDisk origin({"dev_size_mb=64", "delay=0"});
	const NullDisk store(64);
	Held held(origin, store);
	const BlockFile file(origin);
	Bytes data = pattern(5, 1);
	unsigned char command[10] = {0x2a, 0, 0, 0, kAt >> 8, kAt & 0xff, 0, 0, 1, 0}; // WRITE(10)
	sg_io_hdr_t header{};
	header.interface_id = 'S';
	header.dxfer_direction = SG_DXFER_TO_DEV;
	header.cmd_len = sizeof(command);
	header.cmdp = command;
	header.dxfer_len = static_cast<unsigned>(data.size());
	header.dxferp = data.data();
	header.timeout = 10000;
	REQUIRE_EQ(ioctl(file.fd(), SG_IO, &header), 0);
	EXPECT_EQ(header.status, 0);
	EXPECT(origin.read(kAt, 1) == data);
	EXPECT(!lost_image(held.snapshot(), 0));
	EXPECT(held.changes() == kNothing);
}

// --- at the image ----------------------------------------------------------------------------

TEST(an_image_refuses_discards_and_writes_zeroes)
{
	const NullDisk origin(64, {"discard=1"}), store(64);
	Held held(origin, store);
	const BlockFile image(held.image());
	EXPECT_ERRNO(image.discard(kAt, 8), EOPNOTSUPP);
	EXPECT_ERRNO(image.secure_discard(kAt, 8), EOPNOTSUPP);
	EXPECT(held.image_is_right());
	EXPECT_ERRNO(image.zero_out(kAt, 8), 0);
	EXPECT(held.image().read(kAt, 8) == Bytes(4096));
	EXPECT(held.origin_is_old(0, Held::kSectors));
	// A backup of this image differs from the origin there.
	EXPECT(changed_blocks(held.control(), origin.number(), 0) == kBlock4);
}

TEST(an_image_takes_flushes_and_fua)
{
	const NullDisk origin(64), store(64);
	Held held(origin, store);
	const BlockFile image(held.image());
	const Bytes bytes = pattern(9, 8);
	EXPECT_ERRNO(image.flush(), 0);
	EXPECT_ERRNO(image.write(kAt, bytes, RWF_DSYNC), 0);
	EXPECT_ERRNO(image.flush(), 0);
	EXPECT(held.image().read(kAt, 8) == bytes);
	EXPECT(held.origin_is_old(0, Held::kSectors));
}

// It may have to wait for a copy, so it promises nothing.
TEST(an_image_refuses_nowait)
{
	const NullDisk origin(64), store(64);
	Held held(origin, store);
	const BlockFile image(held.image());
	Bytes bytes(4096);
	EXPECT_ERRNO(image.read(kAt, bytes, RWF_NOWAIT), EOPNOTSUPP);
	EXPECT_ERRNO(image.write(kAt, bytes, RWF_NOWAIT), EOPNOTSUPP);
	EXPECT(held.image_is_right());
}

// Readahead may be dropped by a driver; what an image reads for it is not.
TEST(an_image_serves_readahead)
{
	const NullDisk origin(64), store(64);
	Held held(origin, store);
	Load load(origin, 0, Held::kSectors);
	load.wait_for(100);
	const BlockFile image(held.image(), O_RDONLY); // through the page cache
	Bytes got(Held::kSectors * 512);
	for (std::size_t at = 0; at < got.size(); at += 16384)
		REQUIRE_EQ(pread(image.fd(), &got[at], 16384, static_cast<off_t>(at)), 16384);
	EXPECT_ERRNO(load.stop(), 0);
	EXPECT(got == held.image().read(0, Held::kSectors));
	EXPECT(held.image_is_right());
}

// --- signals ---------------------------------------------------------------------------------

// A writer that is killed while its write waits for a copy: the copy is made, nothing stays locked.
TEST(killed_writers_harm_no_image, .timeout_seconds = 120)
{
	const NullDisk origin(64), slow_below(64);
	const DmDisk store(delay_table(slow_below, 20));
	const Held held(origin, store);
	std::minstd_rand random(1);
	for (unsigned round = 0; round < 40; round++) {
		Child writer([&] {
			const BlockFile file(origin);
			const Bytes bytes = pattern(round, 64);
			for (std::uint64_t i = 0;; i++)
				if (file.write((round * 3 + i) * 64 % Held::kSectors, bytes))
					return 1;
		});
		usleep(1000 + random() % 30000);
		writer.kill(SIGKILL);
		EXPECT_EQ(writer.wait(), 256 + SIGKILL);
	}
	EXPECT(held.image_is_right());
	// Every block can be written to.
	origin.fill(11, 0, Held::kSectors);
	EXPECT(origin.holds(11, 0, Held::kSectors));
	EXPECT(held.image_is_right());
}
