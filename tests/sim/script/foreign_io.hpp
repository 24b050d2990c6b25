// SPDX-License-Identifier: GPL-2.0
//
// ForeignIo: one request of somebody else, to an origin or to an image, checked when it ends.
#pragma once

#include <memory>
#include <oracle/image_model.hpp>
#include <vector>
#include <world/block_layer.hpp>
#include <world/fiber.hpp>

namespace sim
{

class ForeignIo
{
public:
	ForeignIo(Device &device, Op op, u64 sector, u32 sectors, ImageModel *image = nullptr);
	ForeignIo(const ForeignIo &) = delete;
	~ForeignIo();

	void set_nowait() { bio_->nowait = true; }
	// The submitter cuts off the first `sectors` of what is left as a bio, which the next one waits for, as
	// file systems do. Before submit(); more than once.
	void chain(u32 sectors);
	// The last one, which ends after all, goes first, as nvmet does it.
	void submit_backwards() { backwards_ = true; }
	// What the device must answer if it answers without an injected error.
	void expect_error(int error) { expected_ = error; }
	void submit();
	// In two steps: the first bio, the others.
	void submit_first();
	void submit_others();
	void wait();
	bool done() const { return done_; }
	int status() const { return status_; }
	const std::vector<u64> &data() const { return data_; }

private:
	static void end_io(bio *bio);
	void finish();
	void check_origin_result();
	void check_image_result();

	Device &device_;
	Op op_;
	u64 sector_;
	u32 sectors_;
	ImageModel *image_;
	bio *bio_;
	std::vector<bio *> parts_;
	std::vector<u64> data_;
	bool backwards_ = false;
	u64 write_ = 0;
	u64 begin_ = 0;
	int expected_ = 0;
	int status_ = 0;
	bool done_ = false;
	Fiber *waiter_ = nullptr;
};

} // namespace sim
