// SPDX-License-Identifier: GPL-2.0
#include "mount.hpp"

#include "file.hpp"
#include "kselftest.hpp"
#include "leftovers.hpp"
#include "process.hpp"
#include "scratch.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <fstream>

namespace kselftest
{

namespace
{

[[noreturn]] void fail(const std::string &what)
{
	throw std::system_error(errno, std::generic_category(), what);
}

class Directory
{
public:
	explicit Directory(const std::string &path)
		: fd_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))
	{
		if (fd_ < 0)
			fail(path);
	}
	~Directory() { close(fd_); }
	Directory(const Directory &) = delete;
	Directory &operator=(const Directory &) = delete;
	int fd() const { return fd_; }

private:
	int fd_;
};

std::string next_path()
{
	static unsigned count = 0;

	return scratch_directory() + "/" + kDevicePrefix + "mount" + std::to_string(count++);
}

std::string file_name(const std::string &path, const std::string &name, unsigned number)
{
	return path + "/" + name + std::to_string(number);
}

bool kernel_knows(const std::string &type)
{
	std::ifstream file("/proc/filesystems");
	std::string line;

	while (std::getline(file, line))
		if (line == "\t" + type)
			return true;
	return false;
}

// Another for each file.
Bytes content(const std::string &name, unsigned number, std::size_t kib)
{
	return pattern(std::hash<std::string>{}(name) + number, kib * 2);
}

} // namespace

void make_file_system(const Disk &disk, const std::string &type)
{
	std::vector<std::string> words{"mkfs." + type, "-q"};

	(void)run({"modprobe", "-q", "fs-" + type}); // as a mount would, if it is a module
	if (type != "ext4" && !kernel_knows(type))
		skip("this kernel has no " + type);
	if (type == "xfs")
		words.push_back("-f");
	words.push_back(disk.path());
	run_or_throw(words);
}

std::string find_damage(const Disk &disk, const std::string &type)
{
	const Run check = type == "xfs" ? run({"xfs_repair", "-n", disk.path()})
					: run({"e2fsck", "-f", "-n", disk.path()});

	return check.status == 0 ? "" : check.output + " ";
}

Mount::Mount(const Disk &disk, const std::string &options) : path_(next_path())
{
	if (mkdir(path_.c_str(), 0700))
		fail(path_);
	const Run mount = run({"mount", "-o", options, disk.path(), path_});
	if (mount.status) {
		rmdir(path_.c_str());
		throw std::runtime_error("mount " + disk.path() + ": " + mount.output);
	}
	mounted_ = true;
}

Mount::~Mount()
{
	if (mounted_ && unmount())
		umount2(path_.c_str(), MNT_DETACH);
	rmdir(path_.c_str());
}

int Mount::unmount()
{
	if (umount2(path_.c_str(), 0))
		return errno;
	mounted_ = false;
	return 0;
}

int Mount::sync() const
{
	return syncfs(Directory(path_).fd()) ? errno : 0;
}

void Mount::write_files(const std::string &name, unsigned count, std::size_t kib) const
{
	for (unsigned i = 0; i < count; i++) {
		const Bytes bytes = content(name, i, kib);
		std::ofstream file(file_name(path_, name, i), std::ios::binary);
		if (!file.write(reinterpret_cast<const char *>(bytes.data()),
				static_cast<std::streamsize>(bytes.size())))
			fail(file_name(path_, name, i));
	}
}

bool Mount::holds_files(const std::string &name, unsigned count, std::size_t kib) const
{
	for (unsigned i = 0; i < count; i++) {
		const Bytes wanted = content(name, i, kib);
		Bytes got(wanted.size() + 1);
		std::ifstream file(file_name(path_, name, i), std::ios::binary);
		file.read(reinterpret_cast<char *>(got.data()),
			  static_cast<std::streamsize>(got.size()));
		got.resize(static_cast<std::size_t>(file.gcount()));
		if (got != wanted) {
			note("%s differs", file_name(path_, name, i).c_str());
			return false;
		}
	}
	return true;
}

void Mount::remove_files(const std::string &name, unsigned count) const
{
	for (unsigned i = 0; i < count; i++)
		if (unlink(file_name(path_, name, i).c_str()))
			fail(file_name(path_, name, i));
}

std::uint64_t Mount::trim() const
{
	const Directory directory(path_);
	fstrim_range range{0, ~0ULL, 0};

	if (ioctl(directory.fd(), FITRIM, &range))
		fail("FITRIM of " + path_);
	return range.len;
}

} // namespace kselftest
