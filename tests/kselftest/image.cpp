// SPDX-License-Identifier: GPL-2.0
//
// image: the block device that shows an origin as it was, as a disk among disks.
#include "kselftest.hpp"

#include "block_io.hpp"
#include "file.hpp"
#include "held.hpp"
#include "load.hpp"
#include "module.hpp"
#include "mount.hpp"
#include "process.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <atomic>
#include <random>
#include <thread>

using namespace kselftest;

namespace
{

std::string image_name(unsigned number)
{
	return "/dev/blksnap-image" + std::to_string(number);
}

bool is_gone(const std::string &path)
{
	return wait_until([&] { return !exists(path); }, 5);
}

unsigned number_of(const Disk &image)
{
	return static_cast<unsigned>(std::stoul(image.path().substr(image_name(0).size() - 1)));
}

// What reads, writes and flushes of a lost image give.
void expect_lost(const Disk &image)
{
	const BlockFile file(image);
	Bytes bytes(4096);
	for (const std::uint64_t sector :
	     {std::uint64_t{0}, std::uint64_t{800}, image.sectors() - 8})
		EXPECT_ERRNO(file.read(sector, bytes), EIO);
	EXPECT_ERRNO(file.write(0, bytes), EIO);
	EXPECT_ERRNO(file.write(4096, bytes), EIO);
}

} // namespace

// --- name and shape --------------------------------------------------------------------------

TEST(number_is_the_lowest_free_and_the_minor)
{
	const Control control;
	const NullDisk a(16), b(16), c(16), store(16);
	const auto take = [&](const Snapshot &snapshot, std::uint64_t first) {
		REQUIRE_ERRNO(snapshot.append(store, {{first, 8192}}), 0);
		REQUIRE_ERRNO(snapshot.take(), 0);
	};
	const Snapshot third(control, {&c});
	std::optional<Snapshot> first(std::in_place, control, std::vector<const Disk *>{&a});
	take(*first, 0);
	{
		const Snapshot second(control, {&b});
		take(second, 8192);
		EXPECT_EQ(first->image_of(a).path(), image_name(0));
		EXPECT_EQ(second.image_of(b).path(), image_name(1));
		for (const Disk &image : {first->image_of(a), second.image_of(b)})
			EXPECT_EQ(image.number().mn, number_of(image));
		// The first one goes, the next one gets its number.
		first.reset();
		take(third, 16384);
		EXPECT_EQ(third.image_of(c).path(), image_name(0));
		EXPECT_EQ(second.image_of(b).path(), image_name(1));
	}
	EXPECT(is_gone(image_name(1)));
}

TEST(capacity_and_blocks_are_those_of_the_origin)
{
	for (const unsigned block : {512u, 4096u}) {
		const NullDisk origin(33, {"blocksize=" + std::to_string(block)}), store(33);
		const Held held(origin, store);
		const Disk image = held.image();
		int physical[2] = {};
		EXPECT_EQ(image.sectors(), origin.sectors());
		EXPECT_EQ(image.logical_block_bytes(), block);
		EXPECT_EQ(ioctl(BlockFile(origin).fd(), BLKPBSZGET, &physical[0]), 0);
		EXPECT_EQ(ioctl(BlockFile(image).fd(), BLKPBSZGET, &physical[1]), 0);
		EXPECT_EQ(physical[1], physical[0]);
		EXPECT(held.image_is_right());
	}
}

// Less than a block of ours at the end.
TEST(an_odd_capacity_is_shown_to_its_last_sector)
{
	const NullDisk lower(64), store(64);
	for (const unsigned odd : {1u, 3u, 7u}) {
		const std::uint64_t sectors = Held::kSectors + odd;
		const DmDisk origin("0 " + std::to_string(sectors) + " linear " + lower.path() +
				    " 16");
		const Held held(origin, store, sectors);
		EXPECT_EQ(held.image().sectors(), sectors);
		origin.fill(1, sectors - odd, odd);
		EXPECT(held.image_is_right());
		const BlockFile image(held.image());
		EXPECT_ERRNO(image.write(sectors - 1, pattern(2, 1)), 0);
		EXPECT(held.image().holds(2, sectors - 1, 1));
		EXPECT(origin.holds(1, sectors - odd, odd));
	}
}

TEST(a_device_of_17_tib_is_shown_to_its_end, .timeout_seconds = 120)
{
	const NullDisk origin(17ULL << 20), store(64);
	const std::uint64_t sectors = origin.sectors();
	const std::uint64_t places[] = {0, (2ULL << 31) - 8, 2ULL << 31, (2ULL << 34) - 64,
					sectors - 64};
	for (const std::uint64_t place : places)
		origin.fill(place, place, 64);
	const Held held(origin, store);
	EXPECT_EQ(held.image().sectors(), sectors);
	for (const std::uint64_t place : places)
		if (place)
			origin.fill(1, place, 64);
	for (const std::uint64_t place : places)
		EXPECT(!place || place == places[2] ||
		       held.image().holds(place, place, place == places[1] ? 8 : 64));
	EXPECT(held.image().holds(places[2], places[2], 64));
	EXPECT(held.image_is_right());
}

// Partitions of an image would be mistaken for those of the origin.
TEST(no_partitions_are_scanned)
{
	const NullDisk origin(64), store(64);
	const Control control;
	run_or_throw(
		{"sh", "-c", "echo 'start=2048, size=8192' | sfdisk --quiet " + origin.path()});
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	const Disk image = snapshot.image_of(origin);
	settle_udev();
	EXPECT(!exists(image.path() + "p1"));
	EXPECT(!exists("/sys/block/" + image.name() + "/" + image.name() + "p1"));
	const int fd = open(image.path().c_str(), O_RDWR | O_CLOEXEC);
	EXPECT(ioctl(fd, BLKRRPART) < 0);
	close(fd);
	EXPECT(!exists(image.path() + "p1"));
	run_or_throw({"wipefs", "--quiet", "--all", "--force", origin.path()});
}

TEST(clients_may_claim_origin_and_image_meanwhile)
{
	const Control control;
	const NullDisk origin(64), store(64);
	const BlockFile claimed(origin, O_RDONLY | O_EXCL);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, store.sectors()}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	const BlockFile image(snapshot.image_of(origin), O_RDONLY | O_EXCL);
	const BlockFile storage(store, O_RDONLY | O_EXCL);
	EXPECT_ERRNO(snapshot.destroy(), 0);
}

// --- reading ---------------------------------------------------------------------------------

// Direct reads of all lengths, in pieces of all kinds, while the origin changes under them.
TEST(odd_and_large_reads_are_right, .timeout_seconds = 120)
{
	constexpr std::uint64_t kSectors = 16384;
	const NullDisk origin(64), store(64);
	const Held held(origin, store, kSectors);
	const Bytes then = pattern(7, kSectors);
	Load load(origin, 0, kSectors, 24);
	const BlockFile image(held.image(), O_RDONLY | O_DIRECT);
	std::minstd_rand random(5);
	for (unsigned round = 0; round < 400; round++) {
		const std::uint64_t sectors = 1 + random() % (round % 20 ? 64 : 8192);
		const std::uint64_t first = random() % (kSectors - sectors);
		const std::size_t piece = round % 3 ? 512 * (1 + random() % 9) : sectors * 512;
		Bytes bytes(sectors * 512);
		if (bytes.size() / piece > 500)
			continue;
		REQUIRE_ERRNO(image.read_in_pieces(first, bytes, piece), 0);
		REQUIRE(std::equal(bytes.begin(), bytes.end(),
				   then.begin() + static_cast<long>(first * 512)));
	}
	EXPECT_ERRNO(load.stop(), 0);
	EXPECT(held.image_is_right());
}

TEST(mapped_pages_are_right)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	const BlockFile image(held.image(), O_RDWR);
	const std::size_t bytes = Held::kSectors * 512;
	Load load(origin, 0, Held::kSectors);
	load.wait_for(200);
	void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, image.fd(), 0);
	REQUIRE(memory != MAP_FAILED);
	const Bytes then = pattern(7, Held::kSectors);
	// A page that cannot be read kills who looks at it.
	Child user([&] {
		if (memcmp(memory, then.data(), bytes))
			return EILSEQ;
		memset(static_cast<char *>(memory) + 65536, 0x5a, 8192);
		return msync(memory, bytes, MS_SYNC) ? errno : 0;
	});
	EXPECT_ERRNO(user.wait(), 0);
	munmap(memory, bytes);
	EXPECT_ERRNO(load.stop(), 0);
	EXPECT(held.image().read(128, 16) == Bytes(8192, 0x5a));
	EXPECT(held.image().read(144, 8) ==
	       Bytes(then.begin() + 144 * 512, then.begin() + 152 * 512));
}

// A sector of the origin that cannot be read is an error of the image there, and nowhere else.
TEST(a_read_error_of_the_origin_reaches_the_reader)
{
	const ScsiDisk origin({"dev_size_mb=64", "delay=0", "opts=0", "medium_error_start=4096",
			       "medium_error_count=8"});
	const NullDisk store(64);
	const char *const faults = "/sys/bus/pseudo/drivers/scsi_debug/opts";
	const Held held(origin, store);
	const BlockFile image(held.image());
	Bytes bytes(4096);
	REQUIRE_ERRNO(write_file(faults, "2"), 0);
	const int bad = image.read(4096, bytes), good = image.read(8, bytes);
	REQUIRE_ERRNO(write_file(faults, "0"), 0);
	EXPECT(bad == EIO || bad == ENODATA);
	EXPECT_ERRNO(good, 0);
	EXPECT(held.image_is_right());
}

// --- writing ---------------------------------------------------------------------------------

TEST(writes_are_private)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	const BlockFile image(held.image());
	EXPECT_ERRNO(image.write(1024, pattern(1, 256)), 0);
	EXPECT(held.origin_is_old(0, Held::kSectors));
	EXPECT(held.image().holds(1, 1024, 256));
	// Neither do writes to the origin reach them.
	origin.fill(2, 1024, 512);
	EXPECT(held.image().holds(1, 1024, 256));
	EXPECT_ERRNO(image.write(1100, pattern(3, 8)), 0);
	EXPECT(origin.holds(2, 1024, 512));
	EXPECT(held.image().holds(3, 1100, 8));
}

// A part of a block: the rest of it stays as it was at the cut.
TEST(a_partial_write_keeps_the_rest_of_the_block)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	const BlockFile image(held.image());
	Bytes then = pattern(7, Held::kSectors);
	const Bytes sector = pattern(4, 1);
	for (unsigned at = 0; at < 64; at += 3) {
		if (at % 2)
			origin.fill(5, at / 8 * 8, 8); // copied before
		REQUIRE_ERRNO(image.write(at, sector), 0);
		std::copy(sector.begin(), sector.end(), then.begin() + at * 512);
	}
	EXPECT(held.image().read(0, Held::kSectors) == then);
}

// Many short pieces of memory in one request that crosses blocks of all states.
TEST(a_write_of_many_pieces_goes_where_it_belongs, .timeout_seconds = 120)
{
	constexpr std::uint64_t kSectors = 4096;
	const NullDisk origin(64), store(64);
	const Held held(origin, store, kSectors);
	const BlockFile image(held.image());
	Bytes expected = pattern(7, kSectors);
	std::minstd_rand random(6);
	for (unsigned round = 0; round < 150; round++) {
		const std::uint64_t sectors = 1 + random() % 100;
		const std::uint64_t first = random() % (kSectors - sectors);
		const Bytes bytes = pattern(round, sectors);
		if (round % 2)
			origin.fill(round, random() % (kSectors - 64), 1 + random() % 64);
		REQUIRE_ERRNO(image.write_in_pieces(first, bytes, 512 * (1 + random() % 7)), 0);
		std::copy(bytes.begin(), bytes.end(),
			  expected.begin() + static_cast<long>(first * 512));
	}
	EXPECT(held.image().read(0, kSectors) == expected);
	EXPECT(!lost_image(held.snapshot(), 0));
}

// --- a lost image ----------------------------------------------------------------------------

TEST(a_lost_image_fails_every_request)
{
	const NullDisk origin(64), store(64);
	const Control control;
	origin.fill(7, 0, 16384);
	const Snapshot snapshot(control, {&origin});
	REQUIRE_ERRNO(snapshot.append(store, {{0, 512}}), 0);
	REQUIRE_ERRNO(snapshot.take(), 0);
	const Disk image = snapshot.image_of(origin);
	origin.fill(1, 0, 256); // these have copies
	EXPECT(image.holds(7, 0, 0) && image.read(0, 256) == [] {
		Bytes all = pattern(7, 16384);
		all.resize(256 * 512);
		return all;
	}());
	origin.fill(1, 0, 16384);
	const auto lost = lost_image(snapshot, 10000);
	REQUIRE(lost.has_value());
	EXPECT_ERRNO(lost->err_code, ENOSPC);
	expect_lost(image);
	EXPECT(origin.holds(1, 0, 16384));
}

// --- file systems ----------------------------------------------------------------------------

namespace
{

// The origin was not unmounted: its image has a journal to replay, if asked to.
void mount_image(const std::string &type, const std::string &options)
{
	const NullDisk origin(512), store(128);
	const Control control;
	make_file_system(origin, type);
	Mount mount(origin);
	mount.write_files("then", 20, 100);
	REQUIRE_ERRNO(mount.sync(), 0);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	mount.remove_files("then", 20);
	mount.write_files("now", 20, 100);
	REQUIRE_ERRNO(mount.sync(), 0);
	const Disk image = snapshot.image_of(origin);
	for (unsigned round = 0; round < 2; round++) {
		Mount of_image(image, options);
		EXPECT(of_image.holds_files("then", 20, 100));
		EXPECT(!exists(of_image.path() + "/now0"));
		of_image.write_files("mine", round * 5, 100);
		EXPECT_EQ(run({"mount", "-o", "remount,ro", of_image.path()}).status, 0);
		EXPECT_EQ(run({"mount", "-o", "remount,rw", of_image.path()}).status, 0);
		EXPECT(of_image.holds_files("mine", round * 5, 100));
		EXPECT_ERRNO(of_image.unmount(), 0);
		EXPECT_EQ(find_damage(image, type), "");
	}
	EXPECT(mount.holds_files("now", 20, 100));
	EXPECT(!exists(mount.path() + "/mine0"));
	EXPECT(!lost_image(snapshot, 0));
}

} // namespace

TEST(ext4_of_an_image_mounts_and_is_written_to, .timeout_seconds = 180)
{
	mount_image("ext4", "defaults");
}

TEST(xfs_of_an_image_mounts_and_is_written_to, .timeout_seconds = 180)
{
	mount_image("xfs", "nouuid");
}

// --- destroy ---------------------------------------------------------------------------------

TEST(destroy_with_open_images_ends_their_io)
{
	const NullDisk origin(64), store(64);
	const Held held(origin, store);
	const Disk image = held.image();
	const BlockFile file(image), buffered(image, O_RDWR);
	Bytes bytes(4096);
	EXPECT_EQ(pwrite(buffered.fd(), bytes.data(), bytes.size(), 0), 4096); // stays dirty
	EXPECT_ERRNO(file.read(8, bytes), 0);
	const double begin = now();
	EXPECT_ERRNO(held.snapshot().destroy(), 0);
	EXPECT(now() - begin < 10);
	EXPECT(is_gone(image.path()));
	EXPECT(file.read(8, bytes) != 0);
	EXPECT(file.write(8, bytes) != 0);
}

TEST(destroy_under_readers_and_writers_ends, .timeout_seconds = 120)
{
	const NullDisk origin(64), store(64);
	for (unsigned round = 0; round < 5; round++) {
		const Held held(origin, store);
		const BlockFile file(held.image(), O_RDONLY | O_DIRECT);
		std::atomic<unsigned> reads = 0;
		Load origin_load(origin, 0, Held::kSectors);
		Load image_load(held.image(), 0, Held::kSectors);
		std::thread reader([&] {
			Bytes bytes(1 << 17);
			while (!file.read(reads * 256 % Held::kSectors, bytes))
				reads++;
		});
		image_load.wait_for(50);
		EXPECT(wait_until([&] { return reads > 10; }));
		EXPECT_ERRNO(held.snapshot().destroy(), 0);
		reader.join(); // its reads fail now
		EXPECT(image_load.stop() != 0);
		EXPECT_ERRNO(origin_load.stop(), 0);
	}
}

TEST(destroy_of_a_mounted_and_dirty_image_ends, .timeout_seconds = 120)
{
	const NullDisk origin(512), store(128);
	const Control control;
	make_file_system(origin, "ext4");
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	{
		Mount mount(snapshot.image_of(origin));
		mount.write_files("dirty", 20, 500);
		const double begin = now();
		EXPECT_ERRNO(snapshot.destroy(), 0);
		EXPECT(now() - begin < 20);
		EXPECT_ERRNO(mount.unmount(), 0);
	}
	EXPECT_EQ(find_damage(origin, "ext4"), "");
}
