// SPDX-License-Identifier: GPL-2.0
//
// How the disks of the tests come and go: null_blk, loop, device mapper, scsi_debug.
#include "disk.hpp"
#include "file.hpp"
#include "kselftest.hpp"
#include "leftovers.hpp"
#include "process.hpp"
#include "scratch.hpp"

#include <linux/loop.h>

#include <filesystem>

namespace kselftest
{

namespace
{

constexpr const char *kNullDirectory = "/sys/kernel/config/nullb/";
constexpr const char *kScsiDirectory = "/sys/bus/pseudo/drivers/scsi_debug";
// A mark of ours in a module that has no names: an otherwise meaningless parameter value.
constexpr const char *kScsiMark = "/run/kselftest-scsi_debug";

std::string next_name(const char *kind)
{
	static unsigned count = 0;

	return std::string(kDevicePrefix) + kind + std::to_string(count++);
}

// udev opens what has just appeared; without udev there is nothing to wait for.
void settle()
{
	(void)run({"udevadm", "settle", "--timeout=30"});
}

} // namespace

// --- null_blk --------------------------------------------------------------------------------

NullDisk::NullDisk(std::uint64_t mib, const std::vector<std::string> &attributes)
	: config_name_(next_name("null"))
{
	if (!exists(kNullDirectory))
		(void)run({"modprobe", "null_blk", "nr_devices=0"});
	if (!exists(kNullDirectory))
		skip("no null_blk with configfs here");
	std::filesystem::create_directory(kNullDirectory + config_name_);
	const int size_error = set("size=" + std::to_string(mib)),
		  memory_error = set("memory_backed=1");
	int error = size_error ? size_error : memory_error;
	for (const std::string &attribute : attributes)
		if (!error && set(attribute)) {
			remove(config_name_);
			skip("null_blk cannot do " + attribute);
		}
	if (!error)
		error = set("power=1");
	// Older kernels number the disks.
	path_ = "/dev/" + config_name_;
	if (!error && !exists(path_))
		path_ = "/dev/nullb" + read_line(kNullDirectory + config_name_ + "/index");
	if (error || !exists(path_)) {
		remove(config_name_);
		throw std::system_error(error, std::generic_category(), "null_blk " + config_name_);
	}
	settle();
}

NullDisk::~NullDisk()
{
	remove(config_name_);
}

int NullDisk::set(const std::string &attribute) const
{
	const auto split = attribute.find('=');

	return write_file(kNullDirectory + config_name_ + "/" + attribute.substr(0, split),
			  attribute.substr(split + 1));
}

void NullDisk::remove(const std::string &config_name)
{
	(void)write_file(kNullDirectory + config_name + "/power", "0");
	rmdir((kNullDirectory + config_name).c_str());
}

// --- loop ------------------------------------------------------------------------------------

LoopDisk::LoopDisk(std::uint64_t bytes, unsigned block_bytes)
	: file_(scratch_directory() + "/" + next_name("loop")), own_file_(true)
{
	const int fd = ::open(file_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	const int error = fd < 0 || ftruncate64(fd, static_cast<off64_t>(bytes)) ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (error) {
		unlink(file_.c_str());
		skip("no sparse file of " + std::to_string(bytes) + " bytes in " +
		     scratch_directory() + ": " + errno_text(error));
	}
	attach(block_bytes);
}

LoopDisk::LoopDisk(const std::string &file, unsigned block_bytes) : file_(file), own_file_(false)
{
	attach(block_bytes);
}

LoopDisk::~LoopDisk()
{
	detach(path_);
	if (own_file_)
		unlink(file_.c_str());
}

void LoopDisk::attach(unsigned block_bytes)
{
	const Run made = run({"losetup", "--find", "--show", "--sector-size",
			      std::to_string(block_bytes), file_});
	if (made.status) {
		if (own_file_)
			unlink(file_.c_str());
		skip("no loop devices here: " + made.output);
	}
	path_ = made.output.substr(0, made.output.find('\n'));
	settle();
}

void LoopDisk::resize(std::uint64_t bytes) const
{
	std::filesystem::resize_file(file_, bytes);
	const int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
	const int error = fd < 0 || ioctl(fd, LOOP_SET_CAPACITY, 0) ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (error)
		throw std::system_error(error, std::generic_category(), "resize of " + path_);
	settle();
}

void LoopDisk::detach(const std::string &path)
{
	const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)ioctl(fd, LOOP_CLR_FD, 0);
	close(fd);
}

// --- device mapper ---------------------------------------------------------------------------

std::string linear_table(const Disk &lower, std::uint64_t first, std::uint64_t sectors)
{
	return "0 " + std::to_string(sectors) + " linear " + lower.path() + " " +
	       std::to_string(first);
}

DmDisk::DmDisk(const std::string &table) : dm_name_(next_name("dm"))
{
	run_or_throw({"dmsetup", "create", dm_name_, "--table", table});
	path_ = "/dev/mapper/" + dm_name_;
	settle();
}

DmDisk::~DmDisk()
{
	remove(dm_name_);
}

void DmDisk::reload(const std::string &table) const
{
	run_or_throw({"dmsetup", "suspend", "--nolockfs", "--noflush", dm_name_});
	run_or_throw({"dmsetup", "load", dm_name_, "--table", table});
	run_or_throw({"dmsetup", "resume", dm_name_});
}

void DmDisk::remove(const std::string &dm_name)
{
	// A suspended one keeps its users waiting.
	(void)run({"dmsetup", "resume", dm_name});
	(void)run({"dmsetup", "remove", "--retry", "--force", dm_name});
}

// --- scsi_debug ------------------------------------------------------------------------------

ScsiDisk::ScsiDisk(const std::vector<std::string> &parameters)
{
	if (exists(kScsiDirectory))
		skip("scsi_debug is in use here");
	std::vector<std::string> words{"modprobe", "scsi_debug"};
	words.insert(words.end(), parameters.begin(), parameters.end());
	const Run loaded = run(words);
	if (loaded.status)
		skip("no scsi_debug with these parameters: " + loaded.output);
	close(::open(kScsiMark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	settle();
	for (const auto &entry : std::filesystem::recursive_directory_iterator(
		     std::string(kScsiDirectory) + "/adapter0"))
		if (entry.path().parent_path().filename() == "block")
			path_ = "/dev/" + entry.path().filename().string();
	if (path_.empty()) {
		remove();
		throw std::runtime_error("scsi_debug has no disk");
	}
}

bool ScsiDisk::is_ours()
{
	return exists(kScsiMark) && exists(kScsiDirectory);
}

void ScsiDisk::remove()
{
	// Somebody may still look at the disk.
	wait_until([] {
		return run({"modprobe", "-r", "scsi_debug"}).status == 0 || !exists(kScsiDirectory);
	});
	unlink(kScsiMark);
}

} // namespace kselftest
