// SPDX-License-Identifier: GPL-2.0
//
// A backup client with the habits of those that were written for the interface of 2022, and with its
// header only: one class per noun, each with a descriptor of its own; a thread that serves events by
// appending storage portion by portion, and nothing appended by anybody else; lists asked for with a
// null array first; the map read in pieces until there is no more; image names made of the minor;
// devices held open with O_EXCL; newer requests probed and given up on ENOTTY.
//
//   v1-client ORIGIN STORAGE        prints TAP
#include <blksnap.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace
{

constexpr const char *kNode = "/dev/blksnap";
constexpr std::uint64_t kPortionSectors = 65536;
constexpr std::size_t kRegionBytes = 8 << 20; // what the test compares

int test_number, failures;

void check(const char *name, bool good)
{
	std::printf("%sok %d - %s\n", good ? "" : "not ", ++test_number, name);
	std::fflush(stdout);
	failures += !good;
}

[[noreturn]] void fail(const char *what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

class OpenFile
{
public:
	OpenFile(const std::string &path, int flags) : fd_{open(path.c_str(), flags)}
	{
		if (fd_ < 0)
			fail(path.c_str());
	}
	OpenFile(const OpenFile &) = delete;
	OpenFile &operator=(const OpenFile &) = delete;
	~OpenFile() { close(fd_); }

	int get() const { return fd_; }

	template <typename T> int request(unsigned long number, T &argument) const
	{
		return ioctl(fd_, number, &argument);
	}

private:
	int fd_;
};

blk_snap_dev device_of(const std::string &path)
{
	struct stat status;
	if (stat(path.c_str(), &status))
		fail(path.c_str());
	return {major(status.st_rdev), minor(status.st_rdev)};
}

// --- the service: versions and what is beyond them ------------------------------------------

class Service
{
public:
	bool has_version() const
	{
		blk_snap_version version{};
		return file_.request(IOCTL_BLK_SNAP_VERSION, version) == 0 && version.major == 1;
	}

	// The standalone line has three more requests. A kernel that has none says ENOTTY.
	bool has_extensions() const
	{
		for (unsigned number = 32; number <= 34; number++) {
			char argument[64]{};
			const int result =
				ioctl(file_.get(), _IOW(BLK_SNAP, number, long), argument);
			if (result != -1 || errno != ENOTTY)
				return true;
		}
		return false;
	}

private:
	OpenFile file_{kNode, O_RDWR};
};

// --- the change map --------------------------------------------------------------------------

class Tracker
{
public:
	explicit Tracker(blk_snap_dev device) : device_{device} {}

	blk_snap_cbt_info info() const
	{
		blk_snap_tracker_collect argument{};
		if (file_.request(IOCTL_BLK_SNAP_TRACKER_COLLECT, argument))
			fail("count of trackers");
		std::vector<blk_snap_cbt_info> infos(argument.count);
		argument.cbt_info_array = infos.data();
		if (file_.request(IOCTL_BLK_SNAP_TRACKER_COLLECT, argument))
			fail("trackers");
		for (const auto &info : infos)
			if (info.dev_id.mj == device_.mj && info.dev_id.mn == device_.mn)
				return info;
		throw std::runtime_error("the device is not tracked");
	}

	std::vector<std::uint8_t> map() const
	{
		std::vector<std::uint8_t> map, piece(1000);
		for (;;) {
			blk_snap_tracker_read_cbt_bitmap argument{};
			argument.dev_id = device_;
			argument.offset = static_cast<__u32>(map.size());
			argument.length = static_cast<__u32>(piece.size());
			argument.buff = piece.data();
			const int got =
				file_.request(IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, argument);
			if (got < 0)
				fail("map");
			if (got == 0)
				return map;
			map.insert(map.end(), piece.begin(), piece.begin() + got);
		}
	}

	bool mark(blk_snap_dev device, std::uint64_t sector, std::uint64_t count) const
	{
		blk_snap_block_range range{sector, count};
		blk_snap_tracker_mark_dirty_blocks argument{};
		argument.dev_id = device;
		argument.count = 1;
		argument.dirty_blocks_array = &range;
		return file_.request(IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS, argument) == 0;
	}

	bool remove() const
	{
		blk_snap_tracker_remove argument{device_};
		return file_.request(IOCTL_BLK_SNAP_TRACKER_REMOVE, argument) == 0;
	}

private:
	OpenFile file_{kNode, O_RDWR};
	blk_snap_dev device_;
};

// --- the session -----------------------------------------------------------------------------

class Session
{
public:
	Session(blk_snap_dev origin, blk_snap_dev storage) : storage_{storage}
	{
		blk_snap_snapshot_create argument{};
		argument.count = 1;
		argument.dev_id_array = &origin;
		if (file_.request(IOCTL_BLK_SNAP_SNAPSHOT_CREATE, argument))
			fail("create");
		id_ = argument.id;
		thread_ = std::thread{[this] { serve(); }};
	}

	~Session() { end(); }

	// The first portion is asked for at the creation; a take before it came would find none.
	bool wait_for_storage() const
	{
		for (int i = 0; i < 1000 && !portions_; i++)
			std::this_thread::sleep_for(std::chrono::milliseconds{10});
		return portions_ > 0;
	}

	bool take() const
	{
		blk_snap_snapshot_take argument{id_};
		return file_.request(IOCTL_BLK_SNAP_SNAPSHOT_TAKE, argument) == 0;
	}

	blk_snap_image_info image() const
	{
		blk_snap_snapshot_collect_images argument{};
		argument.id = id_;
		if (file_.request(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, argument))
			fail("count of images");
		std::vector<blk_snap_image_info> images(argument.count);
		argument.image_info_array = images.data();
		if (file_.request(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, argument))
			fail("images");
		return images.at(0);
	}

	bool is_listed() const
	{
		blk_snap_snapshot_collect argument{};
		if (file_.request(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, argument))
			fail("count of snapshots");
		std::vector<blk_snap_uuid> ids(argument.count);
		argument.ids = ids.data();
		if (file_.request(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, argument))
			fail("snapshots");
		for (const auto &id : ids)
			if (!std::memcmp(&id, &id_, sizeof(id)))
				return true;
		return false;
	}

	// The thread ends because the wait does.
	bool end()
	{
		if (!thread_.joinable())
			return true;
		blk_snap_snapshot_destroy argument{id_};
		const bool good = file_.request(IOCTL_BLK_SNAP_SNAPSHOT_DESTROY, argument) == 0;
		thread_.join();
		return good && ended_well_;
	}

	bool is_corrupted() const { return corrupted_; }
	unsigned portions() const { return portions_; }

private:
	void serve()
	{
		for (;;) {
			blk_snap_snapshot_event event{};
			event.id = id_;
			event.timeout_ms = 500;
			if (!file_.request(IOCTL_BLK_SNAP_SNAPSHOT_WAIT_EVENT, event))
				on_event(event);
			else if (errno == ESRCH)
				break;
			else if (errno != ENOENT && errno != EINTR)
				return;
		}
		ended_well_ = true;
	}

	void on_event(const blk_snap_snapshot_event &event)
	{
		if (event.code == blk_snap_event_code_corrupted)
			corrupted_ = true;
		if (event.code != blk_snap_event_code_low_free_space)
			return;
		blk_snap_event_low_free_space data;
		std::memcpy(&data, event.data, sizeof(data));
		blk_snap_block_range range{portions_ * kPortionSectors, data.requested_nr_sect};
		blk_snap_snapshot_append_storage argument{};
		argument.id = id_;
		argument.dev_id = storage_;
		argument.count = 1;
		argument.ranges = &range;
		if (!file_.request(IOCTL_BLK_SNAP_SNAPSHOT_APPEND_STORAGE, argument))
			portions_++;
	}

	OpenFile file_{kNode, O_RDWR};
	blk_snap_dev storage_;
	blk_snap_uuid id_{};
	std::thread thread_;
	std::atomic<unsigned> portions_ = 0;
	std::atomic<bool> corrupted_ = false, ended_well_ = false;
};

// --- contents --------------------------------------------------------------------------------

class Block
{
public:
	explicit Block(std::size_t bytes)
		: size_{bytes}, data_{static_cast<char *>(std::aligned_alloc(4096, bytes))}
	{
	}
	Block(const Block &) = delete;
	Block &operator=(const Block &) = delete;
	~Block() { std::free(data_); }

	char *data() const { return data_; }
	std::size_t size() const { return size_; }
	bool operator==(const Block &other) const
	{
		return !std::memcmp(data_, other.data_, size_);
	}

private:
	std::size_t size_;
	char *data_;
};

void fill(const OpenFile &device, off_t at, std::size_t bytes, char letter)
{
	const Block block{bytes};
	std::memset(block.data(), letter, bytes);
	if (pwrite(device.get(), block.data(), bytes, at) != static_cast<ssize_t>(bytes))
		fail("write");
}

void read_region(const OpenFile &device, const Block &to)
{
	for (std::size_t at = 0; at < to.size(); at += 1 << 20)
		if (pread(device.get(), to.data() + at, 1 << 20, static_cast<off_t>(at)) != 1 << 20)
			fail("read");
}

// Brings a backup up to date with the blocks that changed after @since.
unsigned copy_changes(const OpenFile &image, const Tracker &tracker, unsigned since,
		      const Block &backup)
{
	const auto map = tracker.map();
	const auto block_bytes = tracker.info().blk_size;
	unsigned copied = 0;
	for (std::size_t i = 0; i < map.size() && i * block_bytes < backup.size(); i++) {
		if (map[i] <= since)
			continue;
		if (pread(image.get(), backup.data() + i * block_bytes, block_bytes,
			  static_cast<off_t>(i * block_bytes)) != block_bytes)
			fail("read of the image");
		copied++;
	}
	return copied;
}

std::string image_path(const Session &session)
{
	return "/dev/blksnap-image" + std::to_string(session.image().image_dev_id.mn);
}

constexpr int kExclusive = O_RDONLY | O_DIRECT | O_EXCL;

// Full backup, changes, increment, as a client does it over days.
void back_up(const std::string &origin_path, const std::string &storage_path)
{
	const auto origin = device_of(origin_path), storage = device_of(storage_path);
	const OpenFile device{origin_path, O_RDWR | O_DIRECT | O_EXCL};
	const Tracker tracker{origin};
	const Block at_cut{kRegionBytes}, backup{kRegionBytes};
	unsigned last;

	fill(device, 0, kRegionBytes, 'a');
	read_region(device, at_cut);
	{
		Session session{origin, storage};
		check("the first portion is asked for at once", session.wait_for_storage());
		check("TAKE", session.take());
		check("the snapshot is listed", session.is_listed());
		last = tracker.info().snap_number;
		check("its number is 1", last == 1);
		fill(device, 0, 1 << 20, 'b');
		const OpenFile image{image_path(session), kExclusive};
		read_region(image, backup);
		check("the image, held with O_EXCL, is the origin at the cut", backup == at_cut);
		check("the map has a byte for each block",
		      tracker.map().size() == tracker.info().blk_count);
		check("no event says that it is lost", !session.is_corrupted());
		check("the end of the snapshot ends the event thread", session.end());
	}
	fill(device, 3 << 20, 65536, 'c');
	read_region(device, at_cut);
	{
		Session session{origin, storage};
		check("again: storage and TAKE", session.wait_for_storage() && session.take());
		const OpenFile image{image_path(session), kExclusive};
		check("17 blocks changed, as far as the map knows",
		      copy_changes(image, tracker, last, backup) == 17);
		check("with them the backup is up to date", backup == at_cut);
		check("the image's sectors can be marked",
		      tracker.mark(session.image().image_dev_id, 8192, 128) &&
			      tracker.map().at(64) > last);
		for (int i = 1; i <= 6; i++)
			fill(device, i * (32 << 20), 16 << 20, 'd');
		check("writes have had more portions appended", session.portions() > 1);
		read_region(image, backup);
		check("and have not changed the image",
		      backup == at_cut && !session.is_corrupted());
	}
	check("the tracker goes", tracker.remove());
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 3) {
		std::fprintf(stderr, "usage: v1-client ORIGIN STORAGE\n");
		return 2;
	}
	std::printf("TAP version 13\n");
	try {
		const Service service;
		unsigned major_number = 0;
		std::ifstream{"/sys/class/blksnap/major"} >> major_number;
		check("the class tells the major number of the node",
		      major_number && major_number == device_of(kNode).mj);
		check("the version is 1", service.has_version());
		check("requests 32 to 34 are not known", !service.has_extensions());
		back_up(argv[1], argv[2]);
	} catch (const std::exception &error) {
		std::printf("# %s\n", error.what());
		check("the client came to its end", false);
	}
	std::printf("1..%d\n", test_number);
	return failures != 0;
}
