// SPDX-License-Identifier: GPL-2.0
//
// fail-nth: every place where a request or the loading of the module may run out of memory, one after
// the other, on a kernel with CONFIG_FAULT_INJECTION.
//
//   fail-nth --module FILE --origin DEVICE --store DEVICE [--from OPERATION[:PLACE]]
//
// An operation is repeated, and each time the kernel fails one more of the allocations and accesses to
// user memory that the task makes in it: the first, the second, ... until none was left to fail. It must
// then either succeed all the same or fail with an errno that says so, and leave nothing behind. What
// it prints for an operation is the number of places. With --from, what comes before this operation is
// left out: "load", "create", "take:527" ... as it is printed. Needs /proc/thread-self/fail-nth; the attributes in
// debugfs (failslab/ignore-gfp-wait and so on) say which places count.
#include "control.hpp"

#include <linux/fs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

namespace
{

constexpr unsigned kMostPlaces = 20000;
// Nearly all of loading is the kernel's; the module's own part comes last.
constexpr unsigned kPlacesOfLoading = 200;

struct Options {
	std::string module, origin, store;
};

// The operation to begin with, empty once it came, and its first place.
std::string awaited;
unsigned awaited_place = 1;

void set_awaited(const std::string &text)
{
	const auto colon = text.find(':');
	awaited = text.substr(0, colon);
	if (colon != std::string::npos)
		awaited_place = std::stoul(text.substr(colon + 1));
}

// `first` becomes the place to begin with. Return: whether the operation has no turn.
bool is_left_out(const char *name, unsigned &first)
{
	if (awaited == name) {
		awaited.clear();
		first = awaited_place;
	}
	return !awaited.empty();
}

// Between its making and its end the task meets one fault, in its n-th place.
class Fault
{
public:
	explicit Fault(unsigned place) : fd_(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC))
	{
		if (fd_ < 0)
			throw std::system_error(errno, std::generic_category(), "fail-nth");
		set(place);
	}
	~Fault() { close(fd_); }
	Fault(const Fault &) = delete;
	Fault &operator=(const Fault &) = delete;

	// Return: whether it was met. If not, it may be met in the question, which then fails.
	bool end()
	{
		char text[16] = "";
		const ssize_t length = pread(fd_, text, sizeof(text) - 1, 0);
		if (length < 0 && errno != EFAULT && errno != ENOMEM)
			throw std::system_error(errno, std::generic_category(), "fail-nth");
		set(0);
		return length > 0 && std::atoi(text) == 0;
	}

private:
	void set(unsigned place) const
	{
		const std::string text = std::to_string(place);
		ssize_t length = pwrite(fd_, text.data(), text.size(), 0);
		if (length < 0) // what was left of the fault
			length = pwrite(fd_, text.data(), text.size(), 0);
		if (length < 0)
			throw std::system_error(errno, std::generic_category(), "fail-nth");
	}

	int fd_;
};

struct Operation {
	const char *name;
	std::function<void()> prepare;	// without faults
	std::function<int()> perform;	// Return: 0 or an errno.
	std::function<void(int)> clean; // with what it returned; throws if something is left
};

bool says_so(int error)
{
	return error == 0 || error == ENOMEM || error == EFAULT || error == EIO ||
	       error == EAGAIN || error == EINTR;
}

enum class Step {
	Met,   // a fault came, and all was well
	Unmet, // no fault was left to come, and all was well
	Wrong,
};

Step step(const Operation &operation, unsigned place, unsigned &failed)
{
	operation.prepare();
	Fault fault(place);
	const int error = operation.perform();
	const bool met = fault.end();

	if (!met && error) {
		std::printf("%s: %s without a fault\n", operation.name, strerrorname_np(error));
		return Step::Wrong;
	}
	if (!says_so(error))
		std::printf("%s: place %u gives %s\n", operation.name, place,
			    strerrorname_np(error));
	failed += error != 0;
	try {
		operation.clean(error);
	} catch (const std::exception &wrong) {
		std::printf("%s: after place %u, which gave %d: %s\n", operation.name, place, error,
			    wrong.what());
		return Step::Wrong;
	}
	if (!says_so(error))
		return Step::Wrong;
	return met ? Step::Met : Step::Unmet;
}

// All places from `first` on. Return: whether all went well.
bool sweep(const Operation &operation, unsigned first = 1)
{
	unsigned failed = 0;
	Step last = Step::Met;

	if (is_left_out(operation.name, first))
		return true;
	unsigned place = first;
	while (place < kMostPlaces && (last = step(operation, place, failed)) == Step::Met)
		place++;
	if (last == Step::Wrong)
		return false;
	std::printf("%s: places %u to %u, %u failed it\n", operation.name, first, place - 1,
		    failed);
	std::fflush(stdout);
	return last == Step::Unmet;
}

// The last `count` places: what stands before them is not ours. Return: whether all went well.
bool sweep_last(const Operation &operation, unsigned count)
{
	unsigned met = 0, unmet = kMostPlaces, failed = 0;

	unsigned first = 1;

	if (is_left_out(operation.name, first))
		return true;
	while (met + 1 < unmet) {
		const unsigned middle = met + (unmet - met) / 2;
		const Step found = step(operation, middle, failed);
		if (found == Step::Wrong)
			return false;
		(found == Step::Met ? met : unmet) = middle;
	}
	return sweep(operation, std::max(first, met > count ? met - count : 1));
}

void demand(bool condition, const char *text)
{
	if (!condition)
		throw std::runtime_error(text);
}

// --- the module ------------------------------------------------------------------------------

int load(int fd)
{
	return syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
}

// Somebody may still look at a device that just appeared: udev does.
int unload()
{
	for (int attempt = 0;; attempt++) {
		const int error = syscall(SYS_delete_module, "blksnap", O_NONBLOCK) ? errno : 0;
		if (error != EWOULDBLOCK || attempt == 100)
			return error;
		std::this_thread::sleep_for(std::chrono::milliseconds(50));
	}
}

bool sweep_module(int module)
{
	return sweep_last({"load", [] {}, [&] { return load(module); },
			   [](int error) {
				   demand(error ? access("/sys/module/blksnap", F_OK) != 0
						: unload() == 0,
					  "the module is still there");
			   }},
			  kPlacesOfLoading);
}

// --- requests --------------------------------------------------------------------------------

// What all operations on a snapshot share. Where the tracker is of no interest it stays, which is quicker.
struct Scene {
	Control control;
	blk_snap_dev origin, store;
	std::string origin_path;
	blk_snap_uuid id{};

	void create() { id = control.create({origin}); }
	void append()
	{
		const int error = control.try_append(id, store, {{0, 8192}});
		demand(!error, "append");
	}
	void take() { demand(!control.try_take(id), "take"); }
	int remove()
	{
		blk_snap_tracker_remove argument{origin};
		return control.try_call(IOCTL_BLK_SNAP_TRACKER_REMOVE, &argument);
	}
	void end_snapshots()
	{
		blk_snap_uuid ids[8];
		blk_snap_snapshot_collect list{8, ids};
		control.call(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT, &list, "collect");
		for (unsigned i = 0; i < list.count; i++)
			demand(!control.try_destroy(ids[i]), "a snapshot that cannot be ended");
		demand(!control.snapshots(), "a snapshot is left");
	}
	// Ends all there is. A snapshot that cannot be ended, or a tracker, is left behind.
	void end()
	{
		end_snapshots();
		const int error = remove();
		demand(!error || error == ENODATA, "a tracker that cannot be removed");
		demand(!control.trackers(), "a tracker is left");
	}
};

int transfer(const std::string &path, int flags, off_t offset)
{
	alignas(4096) static char block[65536];
	const int fd = open(path.c_str(), flags | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return errno;
	const ssize_t done = flags == O_RDONLY ? pread(fd, block, sizeof(block), offset)
					       : pwrite(fd, block, sizeof(block), offset);
	const int error = done < 0 ? errno : 0;
	close(fd);
	return error;
}

std::string image_path(const Scene &scene)
{
	return "/dev/blksnap-image" +
	       std::to_string(scene.control.images(scene.id).at(0).image_dev_id.mn);
}

bool sweep_life(Scene &scene)
{
	const auto end = [&](int) { scene.end_snapshots(); };
	const auto created = [&] { scene.create(); };
	const auto ready = [&] {
		scene.create();
		scene.append();
	};
	const auto taken = [&] {
		ready();
		scene.take();
	};
	const auto removed = [&](int error) {
		demand(!error || scene.control.trackers() == 1, "a tracker that is half removed");
		scene.end();
	};

	return sweep({"create", [] {},
		      [&] {
			      blk_snap_snapshot_create argument{1, &scene.origin, {}};
			      return scene.control.try_call(IOCTL_BLK_SNAP_SNAPSHOT_CREATE,
							    &argument);
		      },
		      [&](int error) {
			      demand(scene.control.snapshots() == (error ? 0 : 1),
				     "a snapshot of which nobody knows");
			      scene.end();
		      }}) &
	       sweep({"append", created,
		      [&] {
			      return scene.control.try_append(scene.id, scene.store, {{0, 8192}});
		      },
		      [&](int error) {
			      // A failure added nothing: the same storage can be given again.
			      demand(!error || !scene.control.try_append(scene.id, scene.store,
									 {{0, 8192}}),
				     "storage that is half appended");
			      scene.end_snapshots();
		      }}) &
	       sweep({"take", ready, [&] { return scene.control.try_take(scene.id); },
		      [&](int error) {
			      demand(!error || !scene.control.try_take(scene.id),
				     "cannot be taken again");
			      scene.end_snapshots();
		      }}) &
	       sweep({"destroy", taken, [&] { return scene.control.try_destroy(scene.id); }, end}) &
	       sweep({"tracker remove",
		      [&] {
			      scene.create();
			      demand(!scene.control.try_destroy(scene.id), "destroy");
		      },
		      [&] { return scene.remove(); }, removed});
}

bool sweep_questions(Scene &scene)
{
	const auto nothing = [](int) {};
	const auto ask = [&](const char *name, unsigned long request, auto make) {
		return sweep({name, [] {},
			      [&] {
				      auto argument = make();
				      return scene.control.try_call(request, &argument);
			      },
			      nothing});
	};
	blk_snap_uuid ids[4];
	blk_snap_cbt_info infos[4];
	blk_snap_image_info images[4];
	blk_snap_block_range range{0, 8};
	static __u8 map[4096];

	return ask("collect", IOCTL_BLK_SNAP_SNAPSHOT_COLLECT,
		   [&] {
			   return blk_snap_snapshot_collect{4, ids};
		   }) &
	       ask("collect trackers", IOCTL_BLK_SNAP_TRACKER_COLLECT,
		   [&] {
			   return blk_snap_tracker_collect{4, infos};
		   }) &
	       ask("collect images", IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES,
		   [&] {
			   return blk_snap_snapshot_collect_images{scene.id, 4, images};
		   }) &
	       ask("mark dirty", IOCTL_BLK_SNAP_TRACKER_MARK_DIRTY_BLOCKS,
		   [&] {
			   return blk_snap_tracker_mark_dirty_blocks{scene.origin, 1, &range};
		   }) &
	       ask("read map", IOCTL_BLK_SNAP_TRACKER_READ_CBT_MAP, [&] {
		       return blk_snap_tracker_read_cbt_bitmap{scene.origin, 0, sizeof(map), map};
	       });
}

// Blocks that are written for the first time, each, and read from the image.
bool sweep_data(Scene &scene)
{
	off_t place = 0;
	const std::string image = image_path(scene);
	const auto nothing = [](int) {};

	return sweep({"write", [&] { place += 65536; },
		      [&] { return transfer(scene.origin_path, O_WRONLY, place); }, nothing}) &
	       sweep({"read of the image", [] {}, [&] { return transfer(image, O_RDONLY, 0); },
		      nothing}) &
	       sweep({"write to the image", [] {},
		      [&] { return transfer(image, O_WRONLY, 1 << 20); }, nothing});
}

int run(const Options &options)
{
	const int module = open(options.module.c_str(), O_RDONLY | O_CLOEXEC);
	bool good = sweep_module(module);

	demand(!load(module), "the module does not load");
	{
		Scene scene{
			{}, device_of(options.origin), device_of(options.store), options.origin};
		good &= sweep_life(scene);
		scene.create();
		scene.append();
		scene.take();
		good &= sweep_questions(scene) & sweep_data(scene);
		scene.end();
	}
	demand(!unload(), "the module does not go");
	demand(awaited.empty(), "there is no such operation to begin with");
	return good ? 0 : 1;
}

} // namespace

int main(int argc, char **argv)
{
	Options options;
	std::string from;

	for (int i = 1; i + 1 < argc; i += 2) {
		const std::string name = argv[i];
		(name == "--module"   ? options.module
		 : name == "--origin" ? options.origin
		 : name == "--store"  ? options.store
				      : from) = argv[i + 1];
	}
	if (options.module.empty() || options.origin.empty() || options.store.empty()) {
		std::fprintf(stderr, "usage: fail-nth --module FILE --origin DEVICE --store DEVICE "
				     "[--from OPERATION[:PLACE]]\n");
		return 2;
	}
	try {
		set_awaited(from);
		return run(options);
	} catch (const std::exception &error) {
		std::printf("fail-nth: %s\n", error.what());
		return 1;
	}
}
