// SPDX-License-Identifier: GPL-2.0
//
// Mounted file systems, and the files that tests put there.
#pragma once

#include "disk.hpp"

#include <string>

namespace kselftest
{

// Makes a file system ("ext4", "xfs"); skips the test if that cannot be done here.
void make_file_system(const Disk &disk, const std::string &type);
// Whether its checker finds it clean, without changing anything. Return: its words if not.
std::string find_damage(const Disk &disk, const std::string &type);

// A mounted disk; unmounted at the end.
class Mount
{
public:
	explicit Mount(const Disk &disk, const std::string &options = "defaults");
	~Mount();
	Mount(const Mount &) = delete;
	Mount &operator=(const Mount &) = delete;

	const std::string &path() const { return path_; }
	// Return: 0 or an errno.
	int unmount();
	int sync() const;

	// Files of `kib` KiB each with content of their own: NAME0, NAME1 ...
	void write_files(const std::string &name, unsigned count, std::size_t kib) const;
	bool holds_files(const std::string &name, unsigned count, std::size_t kib) const;
	void remove_files(const std::string &name, unsigned count) const;
	// FITRIM of all free space. Return: how many bytes were trimmed; throws if it fails.
	std::uint64_t trim() const;

private:
	std::string path_;
	bool mounted_ = false;
};

} // namespace kselftest
