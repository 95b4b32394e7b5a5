#include "cli/job_print.h"

#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>

namespace nimbus::cli {
namespace {

namespace json = boost::json;

std::optional<Time> find_time(const json::object& job, std::string_view field) {
  const auto* value = job.if_contains({field.data(), field.size()});
  if (value == nullptr || !value->is_string()) return std::nullopt;
  const auto& text = value->get_string();
  const auto time = parse_rfc3339({text.data(), text.size()});
  return time ? std::optional<Time>(*time) : std::nullopt;
}

std::string run_time(const json::object& job, Time now) {
  const auto started = find_time(job, "started_at");
  if (!started) return "-";
  return duration_text(find_time(job, "finished_at").value_or(now) - *started);
}

// What a person would call the job: its name on GitHub, else its command.
std::string job_title(const json::object& job) {
  const auto* github = job.if_contains("github");
  if (github != nullptr && github->is_object()) {
    const std::string workflow = cell(github->get_object(), "workflow_name");
    const std::string name = cell(github->get_object(), "job_name");
    return workflow == "-" ? name : workflow + " / " + name;
  }
  return cell(job, "command");
}

std::string org_repo(const json::object& job) { return cell(job, "org") + "/" + cell(job, "repo"); }

void line(std::string& out, std::string_view name, const std::string& value) {
  if (value == "-" || value.empty()) return;
  std::string label = "  " + std::string(name);
  label.resize(14, ' ');
  out += label + value + "\n";
}

std::string resources_text(const json::object& job) {
  const auto* value = job.if_contains("resources");
  if (value == nullptr || !value->is_object()) return "";
  const auto& resources = value->get_object();
  return cell(resources, "cpus") + " CPUs, " + cell(resources, "memory_mb") + " MB memory, " +
         cell(resources, "disk_mb") + " MB disk";
}

std::string transitions_text(const json::object& job, bool colour) {
  const auto* transitions = job.if_contains("transitions");
  if (transitions == nullptr || !transitions->is_array()) return "";
  Table table({{"AT"}, {"STATE"}, {"FENCE", Align::right}, {"REASON", Align::left, 100}});
  for (const auto& value : transitions->get_array()) {
    if (!value.is_object()) continue;
    const auto& transition = value.get_object();
    table.add({cell(transition, "at"), cell(transition, "state"), cell(transition, "fence"),
               cell(transition, "reason")});
  }
  return "\n" + table.text(colour);
}

}  // namespace

std::string jobs_table(const json::array& jobs, Time now, bool colour) {
  Table table({{"ID", Align::right},
               {"STATE"},
               {"REPOSITORY", Align::left, 36},
               {"JOB", Align::left, 44},
               {"AGE", Align::right},
               {"RAN", Align::right},
               {"REASON", Align::left, 60}});
  for (const auto& value : jobs) {
    if (!value.is_object()) continue;
    const auto& job = value.get_object();
    const auto* created = job.if_contains("created_at");
    table.add({cell(job, "id"), cell(job, "state"), org_repo(job), job_title(job),
               created == nullptr ? "-" : age(*created, now), run_time(job, now),
               cell(job, "reason") == "-" ? "" : cell(job, "reason")});
  }
  return table.text(colour);
}

std::string job_details(const json::object& job, Time now, bool colour) {
  const std::string state = cell(job, "state");
  std::string out =
      "job " + cell(job, "id") + "  " + (colour ? coloured_state(state) : state) + "\n";
  std::string body;
  line(body, "reason", cell(job, "reason"));
  line(body, "exit code", cell(job, "exit_code"));
  line(body, "repository", org_repo(job));
  line(body, "ref", cell(job, "ref"));
  line(body, "sha", cell(job, "sha"));
  line(body, "job", job_title(job));
  line(body, "image", cell(job, "image"));
  line(body, "labels", cell(job, "labels"));
  line(body, "metadata", cell(job, "metadata") == "{}" ? "" : cell(job, "metadata"));
  line(body, "resources", resources_text(job));
  line(body, "timeout", cell(job, "timeout_s") + " s");
  line(body, "agent", cell(job, "agent"));
  line(body, "tries", cell(job, "tries") + " of " + cell(job, "tries_max"));
  line(body, "ran", run_time(job, now));
  line(body, "rerun of", cell(job, "rerun_of"));
  if (const auto* github = job.if_contains("github"); github != nullptr && github->is_object()) {
    line(body, "on GitHub", cell(github->get_object(), "html_url"));
  }
  return out + printable(body, false) + transitions_text(job, colour);
}

LinePrinter::LinePrinter(LineTarget target, bool json, bool timestamps)
    : target_(target), json_(json), timestamps_(timestamps), colour_(stderr_takes_colour()) {}

bool LinePrinter::print(const LogLine& line) {
  if (json_) {
    print_out(line.json + "\n");
    return std::fflush(stdout) == 0;
  }
  const bool system = line.stream == "system";
  FILE* to = target_ == LineTarget::out || line.stream == "stdout" ? stdout : stderr;
  std::string text = timestamps_ ? line.ts + " " : "";
  // What the job wrote goes out as it is, colours included; only Nimbus's own lines are marked.
  text += system ? "[nimbus] " + line.text : line.text;
  if (system && to == stderr && colour_) text = "\x1b[2m" + text + "\x1b[0m";
  if (!line.partial) text += '\n';
  std::fwrite(text.data(), 1, text.size(), to);
  return std::fflush(to) == 0 || to == stderr;
}

Result<int64_t> parse_job_id(std::string_view text) {
  int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id <= 0) {
    return fail(Code::bad_request, "'" + std::string(text) + "' is not a job's number",
                "'nimbus job list' shows the jobs");
  }
  return id;
}

Result<int64_t> parse_seconds(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  constexpr std::array<std::pair<std::string_view, int64_t>, 5> kUnits = {
      {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  for (const auto& [name, seconds] : kUnits) {
    if (error == std::errc() && unit == name && number > 0 && number < 1'000'000'000) {
      return number * seconds;
    }
  }
  return fail(Code::bad_request, "'" + std::string(text) + "' is no length of time",
              "write seconds, or 15m, 2h, 3d");
}

Result<std::string> parse_when(std::string_view text, Time now) {
  if (const auto time = parse_rfc3339(text)) return to_rfc3339(*time);
  const auto ago = parse_seconds(text);
  if (!ago) {
    return fail(Code::bad_request, "'" + std::string(text) + "' is no time",
                "write 2026-01-31T12:00:00Z, or how long ago: 15m, 2h, 3d");
  }
  return to_rfc3339(now - std::chrono::seconds(*ago));
}

}  // namespace nimbus::cli
