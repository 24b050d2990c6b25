// SPDX-License-Identifier: GPL-2.0
//
// ForeignIo: see the header. It must outlive its bio; the destructor checks that.
#include <script/foreign_io.hpp>

#include <algorithm>
#include <world/report.hpp>
#include <world/stamp.hpp>
#include <world/world.hpp>

namespace sim
{

ForeignIo::ForeignIo(Device &device, Op op, u64 sector, u32 sectors, ImageModel *image)
	: device_(device), op_(op), sector_(sector), sectors_(sectors), image_(image),
	  bio_(make_bio(device, op, sector, sectors))
{
	if (has_data(op))
		data_.assign(sectors, 0);
	bio_->data = data_.data();
	bio_->end_io = end_io;
	bio_->private_data = this;
}

ForeignIo::~ForeignIo()
{
	if (begin_ && !done_)
		fail("script", "a request is forgotten");
}

void ForeignIo::chain(u32 sectors)
{
	bio *part = make_bio(device_, op_, bio_->sector, sectors);
	part->data = bio_->data;
	part->skip = bio_->skip;
	part->nowait = bio_->nowait;
	if (!parts_.empty()) {
		parts_.back()->private_data = part;
		part->remaining++;
		bio_->remaining--;
	}
	chain_bio(part, bio_);
	parts_.push_back(part);
	bio_->sector += sectors;
	bio_->sectors -= sectors;
	bio_->skip += sectors;
}

void ForeignIo::submit()
{
	submit_first();
	submit_others();
}

void ForeignIo::submit_first()
{
	WriteLog &writes = world().writes;
	if (changes_data(op_) && sectors_) {
		write_ = writes.begin(device_, op_, sector_, sectors_, bio_,
				      {parts_.begin(), parts_.end()});
		bio_->stamp_write = write_;
		for (bio *part : parts_)
			part->stamp_write = write_;
		Device &bottom = *device_.bottom();
		const u64 start = device_.bottom_start() + sector_;
		for (u32 i = 0; i < data_.size(); i++)
			data_[i] = Stamp::pack(write_, bottom.id, start + i);
		begin_ = writes.write(write_).submitted;
	} else {
		begin_ = writes.tick();
	}
	TRACE("bio %llu: %s %s %llu+%u write %llu", (unsigned long long)bio_->id,
	      changes_data(op_) ? "change" : "read", device_.name.c_str(),
	      (unsigned long long)sector_, sectors_, (unsigned long long)write_);
	parts_.push_back(bio_);
	if (backwards_)
		std::reverse(parts_.begin(), parts_.end());
	submit_bio(parts_.front());
}

void ForeignIo::submit_others()
{
	for (std::size_t i = 1; i < parts_.size(); i++)
		submit_bio(parts_[i]);
}

void ForeignIo::wait()
{
	while (!done_) {
		waiter_ = &scheduler().current();
		scheduler().block("a foreign request to end");
	}
	waiter_ = nullptr;
}

void ForeignIo::end_io(bio *bio)
{
	auto *io = static_cast<ForeignIo *>(bio->private_data);
	if (io->bio_ != bio)
		fail("bio", "the private data of bio %llu was not restored",
		     (unsigned long long)bio->id);
	io->finish();
}

void ForeignIo::finish()
{
	status_ = bio_->status;
	TRACE("bio %llu ends with %d", (unsigned long long)bio_->id, status_);
	if (write_)
		world().writes.complete(write_, status_);
	if (image_)
		check_image_result();
	else
		check_origin_result();
	done_ = true;
	if (waiter_)
		scheduler().wake(*waiter_);
}

void ForeignIo::check_origin_result()
{
	Device &bottom = *device_.bottom();
	const bool has_grown = expected_ && !status_ && device_.changed > begin_;
	const bool excused = device_.gone() || bottom.faults.read_permille ||
			     bottom.faults.write_permille || device_.shrunk || has_grown;
	if (status_ != expected_ && !excused)
		fail("origin-first", "a request to %s at %llu+%u ended with %d instead of %d",
		     device_.name.c_str(), (unsigned long long)sector_, sectors_, status_,
		     expected_);
	if (op_ != Op::Read || status_)
		return;
	const u64 end = world().writes.tick();
	const u64 start = device_.bottom_start() + sector_;
	for (u32 i = 0; i < sectors_; i++)
		if (!in_store(bottom, start + i))
			world().writes.check_read("origin", bottom, start + i, data_[i], begin_,
						  end);
}

void ForeignIo::check_image_result()
{
	if (expected_ && status_ != expected_ && status_ != 5)
		fail("image-write", "a request that %s does not know ended with %d",
		     device_.name.c_str(), status_);
	if (expected_)
		return;
	// A store was put there, by parameter: it cannot be written.
	if (status_ == 5 && op_ != Op::Read && !image_->plain(sector_, sectors_))
		return;
	if (status_)
		return image_->on_error(begin_, status_);
	image_->on_success(begin_);
	const u64 end = world().writes.tick();
	if (op_ == Op::Write)
		world().dirty_marks.push_back({&image_->origin, sector_, sectors_, begin_, end});
	if (op_ != Op::Read)
		return;
	for (u32 i = 0; i < sectors_; i++)
		image_->check_read(sector_ + i, data_[i], begin_, end);
}

} // namespace sim
