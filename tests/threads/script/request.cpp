// SPDX-License-Identifier: GPL-2.0
#include <script/request.hpp>

namespace threads
{

Request::Request(Device &device, Op op, u64 sector, u32 sectors)
	: data(sectors), sector(sector), op(op), device_(device)
{
}

// The last bio stands for all: the others are chained to it.
void Request::submit(u32 parts)
{
	const auto sectors = static_cast<u32>(data.size());
	const bool nowait = one_in(6);
	u32 from = 0;

	parts = std::max(1u, std::min(parts, sectors));
	bios_ = std::make_unique<bio[]>(parts);
	in_flight_ = true;
	bio &last = bios_[parts - 1];
	last.end_io.store(end_io, std::memory_order_relaxed);
	last.private_data = this;
	for (u32 i = 0; i + 1 < parts; i++)
		chain_bio(&bios_[i], &last);
	for (u32 i = 0; i < parts; i++) {
		const u32 end = sectors * (i + 1) / parts;
		bio &bio = bios_[i];
		bio.device = &device_;
		bio.op = op;
		bio.nowait = nowait;
		bio.sector = sector + from;
		bio.sectors = end - from;
		bio.data = data.data() + from;
		from = end;
	}
	for (u32 i = 0; i < parts; i++)
		submit_bio(&bios_[i]);
}

int Request::wait()
{
	std::unique_lock lock(mutex_);
	ended_.wait(lock, [&] { return !in_flight_; });
	return error_;
}

void Request::end_io(bio *bio)
{
	auto &request = *static_cast<Request *>(bio->private_data);
	if (request.on_end)
		request.on_end();
	std::lock_guard guard(request.mutex_);
	request.error_ = bio->status.load(std::memory_order_relaxed);
	request.in_flight_ = false;
	request.ended_.notify_one();
}

} // namespace threads
