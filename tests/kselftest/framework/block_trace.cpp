// SPDX-License-Identifier: GPL-2.0
#include "block_trace.hpp"

#include "file.hpp"
#include "kselftest.hpp"
#include "leftovers.hpp"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

namespace kselftest
{

namespace
{

constexpr const char *kInstances = "/sys/kernel/tracing/instances/";
constexpr const char *kEvent = "/events/block/block_rq_issue/";
constexpr unsigned kMinorBits = 20; // of a device number within the kernel

} // namespace

BlockTrace::BlockTrace(const Disk &disk)
	: directory_(std::string(kInstances) + kDevicePrefix + "trace")
{
	const blk_snap_dev number = disk.number();
	const std::uint64_t kernel_number = std::uint64_t{number.mj} << kMinorBits | number.mn;

	rmdir(directory_.c_str()); // of a test that died
	if (mkdir(directory_.c_str(), 0700))
		skip("no tracing here");
	if (write_file(directory_ + kEvent + "filter", "dev == " + std::to_string(kernel_number)) ||
	    write_file(directory_ + kEvent + "enable", "1")) {
		rmdir(directory_.c_str());
		skip("block requests cannot be traced here");
	}
}

BlockTrace::~BlockTrace()
{
	(void)write_file(directory_ + kEvent + "enable", "0");
	rmdir(directory_.c_str());
}

std::vector<std::string> BlockTrace::issued() const
{
	return issued(0, ~0ULL);
}

// A line: TASK-PID [CPU] FLAGS TIME: block_rq_issue: 8,0 WFS 4096 () 1024 + 8 [COMMAND]
std::vector<std::string> BlockTrace::issued(std::uint64_t first_sector, std::uint64_t sectors) const
{
	std::vector<std::string> found;
	std::ifstream file(directory_ + "/trace");
	std::string line;

	while (std::getline(file, line)) {
		const auto at = line.find("block_rq_issue: ");
		const auto end = line.find(") ", at);
		if (at == std::string::npos || end == std::string::npos)
			continue;
		std::istringstream head(line.substr(at)), tail(line.substr(end + 2));
		std::string event, device, letters, plus;
		std::uint64_t first = 0, count = 0;
		head >> event >> device >> letters;
		tail >> first >> plus >> count;
		if (sectors == ~0ULL ||
		    (first < first_sector + sectors && first + count > first_sector))
			found.push_back(letters);
	}
	return found;
}

} // namespace kselftest
