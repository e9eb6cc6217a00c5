-- wrk's script: posts $BODY, counts the answers that are 200 and hold $MARKER, and prints what it saw as JSON.
-- With $KEYS every request has an API key of its own.

wrk.method = "POST"
wrk.body = os.getenv("BODY")

local marker = os.getenv("MARKER")
local threads = {}

right = 0
wrong = 0

if os.getenv("KEYS") then
  local number = 0
  function request()
    number = number + 1
    wrk.headers["Authorization"] = string.format("Bearer sk-benchmark-%016d", number)
    return wrk.format()
  end
end

function setup(thread)
  table.insert(threads, thread)
end

function response(status, headers, body)
  if status == 200 and string.find(body, marker, 1, true) then
    right = right + 1
  else
    wrong = wrong + 1
    if wrong == 1 then
      io.stderr:write("HTTP " .. status .. ": " .. string.sub(body, 1, 300) .. "\n")
    end
  end
end

function done(summary, latency, requests)
  local all_right, all_wrong = 0, 0
  for _, thread in ipairs(threads) do
    all_right = all_right + thread:get("right")
    all_wrong = all_wrong + thread:get("wrong")
  end
  local errors = summary.errors
  print(string.format(
    'RESULT {"right": %d, "wrong": %d, "broken": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}',
    all_right, all_wrong, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
