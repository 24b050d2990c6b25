// SPDX-License-Identifier: GPL-2.0
//
// Writer: somebody who writes to an origin and reads it back, with several requests in flight.
#include <deque>
#include <script/foreign_io.hpp>
#include <script/history.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

Op draw_op(const Plan &plan)
{
	Random &random = world().random;
	if (plan.discards && random.one_in(8))
		return Op::Discard;
	if (plan.zeroes && random.one_in(8))
		return random.one_in(2) ? Op::WriteZeroes : Op::Erase;
	if (plan.flushes && random.one_in(10))
		return Op::Flush;
	return random.one_in(8) ? Op::Read : Op::Write;
}

int expected_error(Device &device, Op op)
{
	const Device &bottom = *device.bottom();
	if (op == Op::Discard && !bottom.supports_discard)
		return 95;
	if ((op == Op::WriteZeroes || op == Op::Erase) && !bottom.supports_zeroes)
		return 95;
	return 0;
}

// Behind the end, or across it: the device says EIO, with and without us.
std::unique_ptr<ForeignIo> bad_request(Device &device)
{
	Random &random = world().random;
	const u64 sector = random.one_in(2) ? device.sectors - random.below(4)
					    : device.sectors + random.below(1000);
	auto io = std::make_unique<ForeignIo>(device, Op::Write, sector, 5);
	io->expect_error(5);
	return io;
}

std::unique_ptr<ForeignIo> draw_request(const Plan &plan)
{
	Random &random = world().random;
	Device &device = *plan.paths[random.below(plan.paths.size())];
	if (plan.bad_bios && random.one_in(16))
		return bad_request(device);
	const Op op = draw_op(plan);
	if (op == Op::Flush)
		return std::make_unique<ForeignIo>(device, op, 0, 0);
	u64 sector;
	u32 sectors;
	if (!plan.pick_range(device, sector, sectors))
		return nullptr;
	auto io = std::make_unique<ForeignIo>(device, op, sector, sectors);
	io->expect_error(expected_error(device, op));
	if (random.one_in(6))
		io->set_nowait();
	while (plan.chains && sectors > 1 && random.one_in(3)) {
		const auto part = static_cast<u32>(1 + random.below(sectors - 1));
		io->chain(part);
		sectors -= part;
	}
	if (world().swarm.one_in(4))
		io->submit_backwards();
	return io;
}

// A write of a file system: none is in flight while it is frozen.
class FileSystemWrite
{
public:
	explicit FileSystemWrite(Device &device) : device_(device)
	{
		while (device_.frozen)
			scheduler().sleep(200);
		device_.fs_writes++;
	}
	~FileSystemWrite() { device_.fs_writes--; }

private:
	Device &device_;
};

void write_through_file_system(const Plan &plan, Device &device)
{
	u64 sector;
	u32 sectors;
	if (!plan.pick_range(device, sector, sectors))
		return;
	FileSystemWrite open(device);
	ForeignIo io(device, Op::Write, sector, sectors);
	io.submit();
	io.wait();
}

} // namespace

void run_writer(History &history)
{
	const Plan &plan = history.plan;
	Random &random = world().random;
	Device &favourite = *plan.paths[random.below(plan.paths.size())];
	const bool file_system = favourite.has_fs && random.one_in(2);
	std::deque<std::unique_ptr<ForeignIo>> flying;
	for (u32 i = 0; i < plan.writer_ops; i++) {
		if (plan.pause_us)
			scheduler().sleep(random.below(plan.pause_us));
		if (file_system) {
			write_through_file_system(plan, favourite);
			continue;
		}
		auto io = draw_request(plan);
		if (!io)
			continue;
		ForeignIo &request = *io;
		flying.push_back(std::move(io));
		request.submit();
		while (flying.size() >= plan.depth) {
			flying.front()->wait();
			flying.pop_front();
		}
	}
	for (auto &io : flying)
		io->wait();
}

} // namespace sim
