// SPDX-License-Identifier: GPL-2.0
//
// permissions: who may do what. The right is the caller's, CAP_SYS_ADMIN in the first user namespace;
// who opened the node, and the mode of the node, decide nothing.
#include "kselftest.hpp"

#include "every_request.hpp"
#include "file.hpp"
#include "memory.hpp"
#include "process.hpp"
#include "requests.hpp"
#include "rights.hpp"
#include "snapshot.hpp"

#include <sched.h>
#include <sys/prctl.h>

#include <filesystem>
#include <fstream>

using namespace kselftest;

namespace
{

// All requests: with arguments that would do, with none, and with zeroes.
void expect_all_are_refused(const Control &control, EveryRequest &requests)
{
	static unsigned char memory[65536];
	requests.expect_refused(control);
	for (const std::uint32_t request : kRequests)
		EXPECT_ERRNO(control.try_call(request, memory), EPERM);
	for (const std::uint32_t request : kRequests)
		EXPECT_ERRNO(control.try_call(request, nullptr), EPERM);
	// Nor is it told which numbers exist.
	EXPECT_ERRNO(control.try_call(0x4008560c, memory), EPERM);
	EXPECT_ERRNO(control.try_call(0x5401, memory), EPERM);
	EXPECT(all_bytes(memory, sizeof(memory), 0));
}

// Runs `lose_rights` and then all requests in a child, and looks at what came of it.
void expect_refused_after(void (*lose_rights)())
{
	const Control control;
	EveryRequest requests(control);
	Child child([&] {
		try {
			lose_rights();
			expect_all_are_refused(control, requests);
		} catch (const Failed &) {
			return 1;
		} catch (const Skipped &skipped) {
			note("%s", skipped.reason.c_str());
			return 4;
		}
		return 0;
	});
	const int status = child.wait();
	if (status == 4)
		skip("such a caller cannot be made here");
	EXPECT_EQ(status, 0);
	requests.expect_accepted();
}

} // namespace

TEST(a_node_that_root_opened_is_of_no_use_to_others)
{
	expect_refused_after(become_nobody);
}

TEST(root_without_cap_sys_admin_is_refused)
{
	expect_refused_after([] { set_capabilities(~kAdmin); });
}

TEST(root_of_another_user_namespace_is_refused)
{
	expect_refused_after([] {
		if (unshare(CLONE_NEWUSER))
			skip("no user namespaces here");
	});
}

// The node is one of many that could exist: its mode is no protection.
TEST(a_node_that_anybody_may_open_is_of_no_use_to_others)
{
	struct stat status;
	REQUIRE_EQ(stat("/dev/blksnap", &status), 0);
	const std::string node = "/dev/kst-blksnap";
	REQUIRE_EQ(mknod(node.c_str(), S_IFCHR | 0666, status.st_rdev), 0);
	REQUIRE_EQ(chmod(node.c_str(), 0666), 0);
	Child child([&] {
		become_nobody();
		const int fd = open(node.c_str(), O_RDWR);
		if (fd < 0)
			return errno;
		static unsigned char memory[65536];
		for (const std::uint32_t request : kRequests)
			EXPECT_ERRNO(ioctl(fd, request, memory) < 0 ? errno : 0, EPERM);
		return 0;
	});
	EXPECT_ERRNO(child.wait(), 0);
	// Root may use what somebody else opened: the right is the caller's.
	const int fd = open(node.c_str(), O_RDWR);
	blk_snap_version version;
	EXPECT_EQ(ioctl(fd, IOCTL_BLK_SNAP_VERSION, &version), 0);
	close(fd);
	unlink(node.c_str());
}

TEST(cap_sys_admin_is_all_that_is_needed)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const blk_snap_dev origin_number = origin.number(), store_number = store.number();
	Child child([&] {
		// Another user with that capability alone.
		prctl(PR_SET_KEEPCAPS, 1);
		become_nobody();
		set_capabilities(kAdmin);
		const blk_snap_uuid id = control.create({origin_number});
		EXPECT_ERRNO(control.try_append(id, store_number, {{0, 32768}}), 0);
		EXPECT_ERRNO(control.try_take(id), 0);
		EXPECT_EQ(control.images(id).size(), 1u);
		EXPECT_ERRNO(control.try_destroy(id), 0);
		EXPECT_ERRNO(remove_tracker(control, origin_number), 0);
		return 0;
	});
	EXPECT_EQ(child.wait(), 0);
}

TEST(others_cannot_open_the_node)
{
	Child child([] {
		become_nobody();
		for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR}) {
			EXPECT_EQ(open("/dev/blksnap", flags), -1);
			EXPECT_ERRNO(errno, EACCES);
		}
		return 0;
	});
	EXPECT_EQ(child.wait(), 0);
}

// One that is open for reading is as good: the requests do not ask.
TEST(requests_work_on_a_node_opened_for_reading)
{
	const int fd = open("/dev/blksnap", O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	blk_snap_version version;
	EXPECT_EQ(ioctl(fd, IOCTL_BLK_SNAP_VERSION, &version), 0);
	close(fd);
}

// --- images ----------------------------------------------------------------------------------

namespace
{

constexpr const char *kRulesName = "60-blksnap.rules";
constexpr const char *kCopyOfRules = "/run/udev/rules.d/60-kst-blksnap.rules";
constexpr const char *kGenerous[] = {"/run/udev/rules.d/59-kst-before.rules",
				     "/run/udev/rules.d/99-kst-after.rules"};

bool is_udev_here()
{
	return run({"udevadm", "control", "--ping"}).status == 0;
}

bool are_rules_installed()
{
	for (const char *directory : {"/etc", "/usr/lib", "/lib", "/usr/local/lib"})
		if (exists(std::string(directory) + "/udev/rules.d/" + kRulesName))
			return true;
	return false;
}

// udev does nothing about devices that come meanwhile.
class UdevWaits
{
public:
	UdevWaits() { (void)run({"udevadm", "control", "--stop-exec-queue"}); }
	~UdevWaits() { (void)run({"udevadm", "control", "--start-exec-queue"}); }
	UdevWaits(const UdevWaits &) = delete;
	UdevWaits &operator=(const UdevWaits &) = delete;
};

// The rules of the project, and before and after them such as give images away.
class Rules
{
public:
	// Without a file those count that are installed.
	explicit Rules(const char *file)
	{
		std::filesystem::create_directories("/run/udev/rules.d");
		if (file)
			std::filesystem::copy_file(
				file, kCopyOfRules,
				std::filesystem::copy_options::overwrite_existing);
		for (const char *name : kGenerous)
			std::ofstream(name) << "SUBSYSTEM==\"block\", KERNEL==\"blksnap-image*\", "
					       "OWNER=\"nobody\", GROUP=\"disk\", MODE=\"0666\"\n";
		(void)run({"udevadm", "control", "--reload"});
	}
	~Rules()
	{
		for (const char *name : kGenerous)
			unlink(name);
		unlink(kCopyOfRules);
		(void)run({"udevadm", "control", "--reload"});
	}
	Rules(const Rules &) = delete;
	Rules &operator=(const Rules &) = delete;
};

void expect_to_be_of_root_alone(const Disk &image)
{
	struct stat status;
	REQUIRE_EQ(stat(image.path().c_str(), &status), 0);
	EXPECT(S_ISBLK(status.st_mode));
	EXPECT_EQ(status.st_uid, 0u);
	EXPECT_EQ(status.st_gid, 0u);
	EXPECT_EQ(status.st_mode & 07777, 0600u);
	Child child([&] {
		become_nobody();
		EXPECT_EQ(open(image.path().c_str(), O_RDONLY), -1);
		EXPECT_ERRNO(errno, EACCES);
		return 0;
	});
	EXPECT_EQ(child.wait(), 0);
}

} // namespace

// As the kernel makes the node. Of udev's own rules those for disks follow, which give them to a group.
TEST(images_belong_to_root_alone)
{
	const Control control;
	const NullDisk origin(16), store(16);
	const Snapshot snapshot(control, {&origin});
	{
		const UdevWaits for_us;
		snapshot.take_with(store);
		expect_to_be_of_root_alone(snapshot.image_of(origin));
	}
	settle_udev();
	if (!is_udev_here() || are_rules_installed())
		expect_to_be_of_root_alone(snapshot.image_of(origin));
}

TEST(the_udev_rules_keep_images_for_root_alone)
{
	const char *file = std::getenv("BLKSNAP_UDEV_RULES");
	if (!is_udev_here())
		skip("no udev here");
	if (!file && !are_rules_installed())
		skip("there are no rules; name their file in BLKSNAP_UDEV_RULES");
	const Control control;
	const NullDisk origin(16), store(16);
	const Rules rules(file);
	const Snapshot snapshot(control, {&origin});
	snapshot.take_with(store);
	settle_udev();
	const Disk image = snapshot.image_of(origin);
	expect_to_be_of_root_alone(image);
	// Again, as after an event for it.
	(void)run({"udevadm", "trigger", "--settle", "--action=change", image.path()});
	expect_to_be_of_root_alone(image);
}

TEST(others_cannot_change_parameters)
{
	Child child([] {
		become_nobody();
		EXPECT_EQ(write_file("/sys/module/blksnap/parameters/diff_storage_minimum", "8"),
			  EACCES);
		return 0;
	});
	EXPECT_EQ(child.wait(), 0);
}
