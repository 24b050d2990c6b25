// SPDX-License-Identifier: GPL-2.0
#include "load.hpp"

#include "block_io.hpp"
#include "process.hpp"

#include <random>

namespace kselftest
{

Load::Load(const Disk &disk, std::uint64_t first_sector, std::uint64_t sectors,
	   std::uint64_t sectors_per_write)
	: disk_(disk.path()), thread_(&Load::run, this, first_sector, sectors, sectors_per_write)
{
}

void Load::run(std::uint64_t first_sector, std::uint64_t sectors, std::uint64_t sectors_per_write)
{
	try {
		const BlockFile file(disk_);
		const Bytes content = pattern(~first_sector, sectors_per_write);
		std::minstd_rand random(static_cast<unsigned>(first_sector) + 1);
		const std::uint64_t places = sectors / sectors_per_write;

		while (!stopping_ && !error_) {
			const std::uint64_t place = random() % places;
			error_ = file.write(first_sector + place * sectors_per_write, content);
			writes_ += error_ == 0;
		}
	} catch (const std::system_error &failure) {
		error_ = failure.code().value();
	}
}

int Load::stop()
{
	stopping_ = true;
	if (thread_.joinable())
		thread_.join();
	return error_ || writes_ ? error_.load() : EAGAIN;
}

void Load::wait_for(std::uint64_t writes) const
{
	const std::uint64_t target = writes_ + writes;

	wait_until([&] { return error_ || writes_ >= target; }, 30);
}

} // namespace kselftest
