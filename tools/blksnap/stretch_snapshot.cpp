// SPDX-License-Identifier: GPL-2.0
//
// blksnap stretch_snapshot
//
// A service that gives a snapshot storage whenever it asks, until the snapshot is gone. If the
// service is killed, its files stay: the module goes on writing into their sectors.
#include "arguments.hpp"
#include "command.hpp"
#include "extents.hpp"
#include "storage_file.hpp"

#include <blksnap/error.hpp>
#include <blksnap/event.hpp>
#include <blksnap/snapshot.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace blksnap::command
{

namespace
{

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kNoLimitMib = std::uint64_t{1} << 43; // what a 64-bit file offset can hold

constexpr unsigned kMostWaits = 32; // between two attempts: some minutes

struct Arguments {
	std::string id;
	std::string directory;
	std::uint64_t limit_mib = kNoLimitMib;
	bool json = false;
};

// What others may free, or what passes, as the snapshot of the device that the file lies on (EBUSY, EINVAL). The
// rest stays as it is until a person does something.
bool may_succeed_later(int code)
{
	static constexpr std::array kPassing{EAGAIN, EBUSY,  EDQUOT, EINTR,  EINVAL,   EIO,
					     EMFILE, ENFILE, ENOMEM, ENOSPC, ETIMEDOUT};
	return std::find(kPassing.begin(), kPassing.end(), code) != kPassing.end();
}

class StretchService final
{
public:
	StretchService(Environment &environment, const Arguments &arguments)
		: environment_{environment}, json_{arguments.json}, snapshot_{Uuid::parse(
									    arguments.id)},
		  control_{environment.open_control()}, files_{arguments.directory,
							       arguments.limit_mib * kMebibyte}
	{
	}

	void run()
	{
		check_snapshot();
		say("Stretch snapshot service started.", {{"event", "started"}});
		while (serve_next())
			;
		files_.remove_all();
		say("The snapshot no longer exists.", {{"event", "gone"}});
		say("Stretch snapshot service finished.", {{"event", "finished"}});
	}

private:
	// One that goes later is the normal end. One that is not there is a mistake, and not served.
	void check_snapshot() const
	{
		const auto all = collect_snapshots(control_);
		if (std::find(all.begin(), all.end(), snapshot_) == all.end())
			throw Error{ESRCH, "cannot serve snapshot", snapshot_.to_string(),
				    "there is no such snapshot",
				    "list the snapshots with blksnap snapshot_collect"};
	}

	// Return: whether the snapshot still exists.
	bool serve_next()
	{
		using Milliseconds = std::chrono::duration<std::uint32_t, std::milli>;
		const auto patience =
			std::chrono::duration_cast<Milliseconds>(environment_.patience);
		const auto answer = wait_event(control_, snapshot_, patience);
		if (const auto *none = std::get_if<NoEvent>(&answer)) {
			if (unserved_ && *none == NoEvent::Timeout && --waits_left_ == 0)
				serve(*unserved_);
			return *none != NoEvent::NotFound;
		}
		std::visit([this](const auto &data) { on_event(data); },
			   std::get<Event>(answer).data);
		return true;
	}

	void on_event(const LowFreeSpace &event)
	{
		unserved_.reset();
		waits_ = 1;
		serve(event);
	}

	// A failure here may cost the images; it must not cost the service, which can still report. The module
	// does not ask twice for the same portion, so the service tries again by itself where that may help.
	void serve(const LowFreeSpace event)
	try {
		grow(event);
		unserved_.reset();
	} catch (const Error &error) {
		if (error.code() == ESRCH) // the next wait tells that the snapshot is gone
			unserved_.reset();
		else if (!files_.is_full() && may_succeed_later(error.code()))
			try_later(event, error.what());
		else
			give_up(error.what());
	} catch (const std::exception &error) {
		try_later(event, error.what()); // no memory
	}

	// Said once: what a person has to do does not change while it is tried again.
	void try_later(const LowFreeSpace &event, const char *why)
	{
		if (!unserved_)
			environment_.err << "blksnap: " << why << "; it is tried again\n";
		unserved_ = event;
		waits_left_ = waits_;
		waits_ = std::min(2 * waits_, kMostWaits);
	}

	void give_up(const char *why)
	{
		environment_.err << "blksnap: " << why
				 << "; it is not tried again: append storage by hand, with blksnap "
				    "snapshot_appendstorage\n";
		unserved_.reset();
	}

	void grow(const LowFreeSpace &event)
	{
		const auto &file = files_.add(event.requested_sectors);
		append(file);
		const auto sectors = std::to_string(event.requested_sectors);
		auto json = json_extents(file.extents);
		json.update({{"event", "low_free_space"},
			     {"requested_nr_sect", event.requested_sectors},
			     {"file", file.path}});
		say("Low free space: requested " + sectors + " sectors, appended " + file.path,
		    json);
		if (!json_)
			print_extents(environment_.out, file.extents.ranges);
		environment_.out.flush();
	}

	void on_event(const Corrupted &event)
	{
		const auto device = event.original.to_string();
		say("Corrupted: device " + device + " (" + device_name(event.original) +
			    "), error " + std::to_string(event.error) + " (" +
			    std::strerror(event.error) + ")",
		    {{"event", "corrupted"}, {"orig_dev_id", device}, {"err_code", event.error}});
	}

	void on_event(const UnknownEvent &event)
	{
		say("Unknown event, code " + std::to_string(event.code),
		    {{"event", "unknown"}, {"code", event.code}});
	}

	void append(const StorageFile &file)
	{
		try {
			append_storage(control_, snapshot_, file.extents.device,
				       file.extents.ranges);
		} catch (...) {
			files_.discard_last();
			throw;
		}
	}

	void say(const std::string &line, const Json &json)
	{
		environment_.out << (json_ ? json.dump() : line) << "\n";
		environment_.out.flush();
	}

	Environment &environment_;
	bool json_;
	Uuid snapshot_;
	Control control_;
	StorageFiles files_;
	std::optional<LowFreeSpace> unserved_; // a request that could not be met yet
	// Each attempt may allocate much for nothing, so they become fewer.
	unsigned waits_ = 1;
	unsigned waits_left_ = 0;
};

} // namespace

void add_stretch_snapshot(CLI::App &app, Environment &environment)
{
	auto *const command = app.add_subcommand(
		"stretch_snapshot",
		"Grow the storage of a snapshot on demand, until it is destroyed");
	const auto arguments = std::make_shared<Arguments>();
	add_id(*command, arguments->id)->required();
	command->add_option("-p,--path", arguments->directory, "Directory for the storage files")
		->required()
		->check(CLI::ExistingDirectory);
	command->add_option("-l,--limit", arguments->limit_mib,
			    "Most of all files together, in MiB; no limit if not given")
		->check(CLI::Range(std::uint64_t{1}, kNoLimitMib));
	add_json(*command, arguments->json)->description("Print one JSON object per line");
	command->footer(
		"The directory must not lie on a device of the snapshot. The files are removed "
		"when the\nsnapshot is gone; if the service is killed before, they stay and must "
		"not be touched.\n\n"
		"Example:\n"
		"  blksnap stretch_snapshot --id $id --path /mnt/store --limit 4096 &");
	command->callback([arguments, &environment] {
		StretchService{environment, *arguments}.run();
	});
}

} // namespace blksnap::command
