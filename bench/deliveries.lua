-- Sends each line `signature body` of $BODIES once, as a delivery of its own.
local file = assert(io.open(os.getenv("BODIES"), "r"))
local run = os.getenv("RUN_ID")
local number = 0

request = function()
  local line = file:read("*l")
  if not line then
    file:seek("set")
    line = file:read("*l")
  end
  number = number + 1
  local space = line:find(" ", 1, true)
  local headers = {
    ["Content-Type"] = "application/json",
    ["X-GitHub-Event"] = "workflow_job",
    ["X-GitHub-Delivery"] = run .. "-" .. number,
    ["X-Hub-Signature-256"] = line:sub(1, space - 1),
  }
  return wrk.format("POST", nil, headers, line:sub(space + 1))
end
