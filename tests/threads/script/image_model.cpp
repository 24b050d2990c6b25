// SPDX-License-Identifier: GPL-2.0
#include <script/image_model.hpp>

#include <script/request.hpp>

namespace threads
{

namespace
{

constexpr u64 kSeen = u64{1} << 63; // a version of zero is something that was seen, too

using Long = unsigned long long;

} // namespace

ImageModel::ImageModel(u32 origin, std::shared_ptr<Device> image, std::vector<u64> least,
		       std::vector<u64> most, const Stop &may_fail)
	: origin(origin), seen(new std::atomic<u64>[kOriginSectors]()), image_(std::move(image)),
	  least_(std::move(least)), most_(std::move(most)), may_fail_(may_fail)
{
}

bool ImageModel::check_error(int error, u64 sector) const
{
	if (error && !may_fail_.load(std::memory_order_relaxed))
		fail("image of origin %u sector %llu: error %d, though nothing was done to it",
		     origin, static_cast<Long>(sector), error);
	return !error;
}

void ImageModel::check(u64 sector, u64 stamp)
{
	const u64 version = version_of(stamp);
	if (stamp != make_stamp(origin, sector, version))
		fail("image of origin %u sector %llu shows %llx, which belongs elsewhere", origin,
		     static_cast<Long>(sector), static_cast<Long>(stamp));
	if (version < least_[sector] || version > most_[sector])
		fail("image of origin %u sector %llu shows version %llu; it was between %llu and "
		     "%llu at the take",
		     origin, static_cast<Long>(sector), static_cast<Long>(version),
		     static_cast<Long>(least_[sector]), static_cast<Long>(most_[sector]));
	u64 before = 0;
	if (!seen[sector].compare_exchange_strong(before, version | kSeen,
						  std::memory_order_relaxed) &&
	    before != (version | kSeen))
		fail("image of origin %u sector %llu shows version %llu after %llu", origin,
		     static_cast<Long>(sector), static_cast<Long>(version),
		     static_cast<Long>(before & ~kSeen));
	count_done(Done::ImageSector);
}

bool ImageModel::read(u64 sector, u32 sectors, u32 parts)
{
	Request request(*image_, Op::Read, sector, sectors);
	request.submit(parts);
	if (!check_error(request.wait(), sector))
		return false;
	for (u32 i = 0; i < sectors; i++)
		if (!is_free(sector + i))
			check(sector + i, request.data[i]);
	return true;
}

bool ImageModel::write()
{
	const u64 first = kScratch + below(kTurnSector - kScratch);
	const auto sectors = static_cast<u32>(1 + below(kTurnSector - first));
	Request written(*image_, Op::Write, first, sectors);
	for (u64 &stamp : written.data)
		stamp = random_next();
	written.submit(1);
	if (!check_error(written.wait(), first))
		return false;
	Request back(*image_, Op::Read, first, sectors);
	back.submit(1);
	if (!check_error(back.wait(), first))
		return false;
	if (back.data != written.data)
		fail("image of origin %u: sectors %llu+%u are not what was written there", origin,
		     static_cast<Long>(first), sectors);
	count_done(Done::ImageWrite);
	return true;
}

void run_reader(ImageModel &model, Stop &stop, bool writes)
{
	Beat beat("a reader of an image");

	while (!stop.load(std::memory_order_relaxed)) {
		beat.alive();
		const u64 sector = below(kOriginSectors);
		const u64 most = std::min<u64>(kOriginSectors - sector, one_in(16) ? 400 : 20);
		const auto sectors = static_cast<u32>(1 + below(most));
		const bool goes_on = writes && one_in(4)
					     ? model.write()
					     : model.read(sector, sectors, one_in(4) ? 3 : 1);
		if (!goes_on)
			return;
		if (one_in(4))
			pause_us(300);
	}
}

} // namespace threads
