-- Sends the requests of a file one after another, as fast as answers come or at a pace.
-- Arguments: the file (each request after its length in eight digits), requests a second (0: no pace).

local ffi = require("ffi")
ffi.cdef[[
    typedef struct { long seconds; long nanoseconds; } moment;
    int clock_gettime(int clock, moment *now);
]]

local MONOTONIC = 1
local now = ffi.new("moment")
local file, pace, begun, slot
local threads = {}
exhausted = 0

local function seconds()
    ffi.C.clock_gettime(MONOTONIC, now)
    return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    file = assert(io.open(args[1], "rb"))
    pace, slot = tonumber(args[2]), 0
end

function request()
    local length = file:read(8)
    if length == nil then
        exhausted = exhausted + 1
        file:seek("set")
        length = file:read(8)
    end
    return file:read(tonumber(length))
end

function delay()
    if pace == 0 then return 0 end
    local at = seconds()
    begun = begun or at
    slot = slot + 1
    return math.max(0, math.floor((begun + slot / pace - at) * 1000 + 0.5))
end

function done(summary, latency, requests)
    local again = 0
    for _, thread in ipairs(threads) do again = again + thread:get("exhausted") end
    io.write(string.format(
        '\n{"answers":%d,"microseconds":%d,"p50":%.1f,"p95":%.1f,"p99":%.1f,"longest":%.1f,"failed":%d,"again":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(95),
        latency:percentile(99), latency.max,
        summary.errors.connect + summary.errors.read + summary.errors.write
            + summary.errors.status + summary.errors.timeout, again))
end
