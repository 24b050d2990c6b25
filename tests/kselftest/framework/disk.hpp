// SPDX-License-Identifier: GPL-2.0
//
// Disks: the block devices of the tests. What a test makes goes when its object does; what cannot
// be made on this machine skips the test.
#pragma once

#include "control.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kselftest
{

using Bytes = std::vector<unsigned char>;

// `sectors` of content that is another for each seed and each sector.
Bytes pattern(std::uint64_t seed, std::uint64_t sectors);

// A block device by its path; somebody else made it.
class Disk
{
public:
	explicit Disk(std::string path) : path_(std::move(path)) {}

	const std::string &path() const { return path_; }
	// As in /sys/block.
	std::string name() const { return path_.substr(path_.rfind('/') + 1); }
	blk_snap_dev number() const;
	// Its directory in sysfs.
	std::string sysfs() const;
	std::uint64_t sectors() const; // of 512 bytes
	unsigned logical_block_bytes() const;

	// Past the page cache, in whole logical blocks. Return: 0 or an errno.
	int try_read(std::uint64_t sector, Bytes &bytes) const;
	int try_write(std::uint64_t sector, const Bytes &bytes) const;
	// The same; they throw.
	Bytes read(std::uint64_t sector, std::uint64_t sectors) const;
	void write(std::uint64_t sector, const Bytes &bytes) const;
	// Writes pattern(seed).
	void fill(std::uint64_t seed, std::uint64_t sector, std::uint64_t sectors) const;
	bool holds(std::uint64_t seed, std::uint64_t sector, std::uint64_t sectors) const;

protected:
	Disk() = default;
	std::string path_;
};

// A disk in memory: null_blk by configfs. `attributes`: "name=value" of its directory there.
class NullDisk : public Disk
{
public:
	explicit NullDisk(std::uint64_t mib, const std::vector<std::string> &attributes = {});
	~NullDisk();
	NullDisk(const NullDisk &) = delete;
	NullDisk &operator=(const NullDisk &) = delete;

	// Of a disk that is there, as "name=value". Return: 0 or an errno.
	int set(const std::string &attribute) const;
	static void remove(const std::string &config_name);

private:
	std::string config_name_;
};

// A loop device over a sparse file in the scratch directory, or over a file that the test has.
class LoopDisk : public Disk
{
public:
	explicit LoopDisk(std::uint64_t bytes, unsigned block_bytes = 512);
	LoopDisk(const std::string &file, unsigned block_bytes);
	~LoopDisk();
	LoopDisk(const LoopDisk &) = delete;
	LoopDisk &operator=(const LoopDisk &) = delete;

	// Changes the size of the file and of the device.
	void resize(std::uint64_t bytes) const;
	static void detach(const std::string &path);

private:
	void attach(unsigned block_bytes);

	std::string file_;
	bool own_file_;
};

// The table of a dm device that is `sectors` of the lower one, from `first` on.
std::string linear_table(const Disk &lower, std::uint64_t first, std::uint64_t sectors);

// A device mapper device, /dev/mapper/kst-...
class DmDisk : public Disk
{
public:
	explicit DmDisk(const std::string &table);
	~DmDisk();
	DmDisk(const DmDisk &) = delete;
	DmDisk &operator=(const DmDisk &) = delete;

	const std::string &dm_name() const { return dm_name_; }
	// Suspends, puts another table in, resumes.
	void reload(const std::string &table) const;
	static void remove(const std::string &dm_name);

private:
	std::string dm_name_;
};

// A SCSI disk in memory. There is one at a time, and only if scsi_debug is not in use.
class ScsiDisk : public Disk
{
public:
	// `parameters`: of scsi_debug, as "dev_size_mb=64".
	explicit ScsiDisk(const std::vector<std::string> &parameters);
	~ScsiDisk() { remove(); }
	ScsiDisk(const ScsiDisk &) = delete;
	ScsiDisk &operator=(const ScsiDisk &) = delete;

	static bool is_ours();
	static void remove();
};

} // namespace kselftest
