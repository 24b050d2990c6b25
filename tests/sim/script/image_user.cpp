// SPDX-License-Identifier: GPL-2.0
//
// Image users: read an image at random, and write to it, while everything else goes on.
#include <deque>
#include <script/foreign_io.hpp>
#include <script/history.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

Op draw_op(const Plan &plan, bool writer)
{
	Random &random = world().random;
	if (writer && random.one_in(3))
		return Op::Write;
	if (plan.bad_image_bios && random.one_in(20))
		return random.one_in(2) ? Op::Discard : Op::WriteZeroes;
	return plan.flushes && random.one_in(12) ? Op::Flush : Op::Read;
}

std::unique_ptr<ForeignIo> draw_request(const Plan &plan, ImageModel &image, bool writer)
{
	Random &random = world().random;
	Op op = draw_op(plan, writer);
	const u32 most =
		static_cast<u32>(std::min<u64>(image.sectors, random.one_in(4) ? 200 : 16));
	const u32 sectors = op == Op::Flush ? 0 : static_cast<u32>(1 + random.below(most));
	const u64 sector = random.below(image.sectors - sectors + 1);
	if (op != Op::Read && op != Op::Flush && !image.plain(sector, sectors))
		op = Op::Read;
	auto io = std::make_unique<ForeignIo>(image.image, op, op == Op::Flush ? 0 : sector,
					      sectors, &image);
	if (op == Op::Discard || op == Op::WriteZeroes)
		io->expect_error(95);
	if (plan.chains && sectors > 1 && random.one_in(3))
		io->chain(static_cast<u32>(1 + random.below(sectors - 1)));
	return io;
}

} // namespace

void run_image_user(History &history, SnapshotModel &snapshot)
{
	const Plan &plan = history.plan;
	Random &random = world().random;
	const bool writer = plan.image_writes && random.one_in(2);
	const u32 requests = static_cast<u32>(random.between(3, 30));
	const u32 depth = static_cast<u32>(random.between(1, 6));
	std::deque<std::unique_ptr<ForeignIo>> flying;
	for (u32 i = 0; i < requests; i++) {
		ImageModel &image = *snapshot.images[random.below(snapshot.images.size())];
		flying.push_back(draw_request(plan, image, writer));
		flying.back()->submit();
		while (flying.size() >= depth) {
			flying.front()->wait();
			flying.pop_front();
		}
		if (plan.pause_us)
			scheduler().sleep(random.below(plan.pause_us));
	}
	for (auto &io : flying)
		io->wait();
	snapshot.readers--;
}

} // namespace sim
