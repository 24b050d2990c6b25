// SPDX-License-Identifier: GPL-2.0
//
// blksnap snapshot_waitevent
#include "arguments.hpp"
#include "command.hpp"
#include "json.hpp"
#include "signal_guard.hpp"

#include <blksnap/event.hpp>

#include <CLI/CLI.hpp>

namespace blksnap::command
{

namespace
{

struct Arguments {
	std::string id;
	std::uint32_t timeout_ms = 0;
	bool json = false;
};

// One pair per line of the plain output, and per member of the JSON object.
using Answer = Json;

void describe(Answer &answer, const LowFreeSpace &data)
{
	answer["event"] = "low_free_space";
	answer["requested_nr_sect"] = data.requested_sectors;
}

void describe(Answer &answer, const Corrupted &data)
{
	answer["event"] = "corrupted";
	answer["orig_dev_id"] = data.original.to_string();
	answer["err_code"] = data.error;
}

void describe(Answer &answer, const UnknownEvent &data)
{
	answer["event"] = "unknown";
	answer["code"] = data.code;
}

Answer answer_of(const Event &event)
{
	Answer answer{{"result", "ok"}, {"time", event.time_ns}};
	std::visit([&](const auto &data) { describe(answer, data); }, event.data);
	return answer;
}

Answer answer_of(NoEvent none)
{
	switch (none) {
	case NoEvent::Timeout:
		return {{"result", "timeout"}};
	case NoEvent::Interrupted:
		return {{"result", "interrupted"}};
	case NoEvent::NotFound:
		break;
	}
	return {{"result", "not found"}};
}

void print_lines(std::ostream &out, const Answer &answer)
{
	for (const auto &[key, value] : answer.items()) {
		out << key << "=";
		if (value.is_string())
			out << value.get<std::string>() << "\n";
		else
			out << value << "\n";
	}
}

void wait(Environment &environment, const Arguments &arguments)
{
	const auto snapshot = Uuid::parse(arguments.id);
	const auto control = environment.open_control();
	const SignalGuard signals;
	const auto outcome =
		wait_event(control, snapshot,
			   std::chrono::duration<std::uint32_t, std::milli>{arguments.timeout_ms});
	const auto answer = std::visit([](const auto &some) { return answer_of(some); }, outcome);
	(arguments.json ? print : print_lines)(environment.out, answer);
}

} // namespace

void add_snapshot_waitevent(CLI::App &app, Environment &environment)
{
	auto *const command =
		app.add_subcommand("snapshot_waitevent", "Wait for the next event of a snapshot");
	const auto arguments = std::make_shared<Arguments>();
	add_id(*command, arguments->id)->required();
	command->add_option("-t,--timeout", arguments->timeout_ms,
			    "How long to wait, in milliseconds")
		->required();
	add_json(*command, arguments->json);
	command->footer("Example:\n  blksnap snapshot_waitevent --id $id --timeout 10000");
	command->callback([arguments, &environment] { wait(environment, *arguments); });
}

} // namespace blksnap::command
