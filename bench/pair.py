# One row of the harness: multiprocessing.Pipe between two processes. Arguments: throughput or roundtrip, the message's
# size, messages to a chunk, seconds, whether to pin the two processes. Prints the count, the nanoseconds and the sampled round trips in nanoseconds.
import json, multiprocessing, os, signal, sys, time

def stop_with(parent_end):
    parent_end.close()
    signal.alarm(60)

def sink(conn, parent_end, chunk):
    stop_with(parent_end)
    conn.send_bytes(b"ready")
    while True:
        for _ in range(chunk):
            message = conn.recv_bytes()
            if not message:
                conn.send_bytes(b"x")
                return
            message[0]

def echo(conn, parent_end, chunk):
    stop_with(parent_end)
    conn.send_bytes(b"ready")
    while True:
        message = conn.recv_bytes()
        if not message:
            return
        conn.send_bytes(message)

def main():
    kind, size, chunk, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    signal.alarm(60)
    cpus = sorted(os.sched_getaffinity(0))
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    child = context.Process(target=sink if kind == "throughput" else echo, args=(there, here, chunk), daemon=True)
    pin = (lambda cpu: os.sched_setaffinity(0, {cpu})) if sys.argv[5] == "true" else (lambda cpu: None)
    pin(cpus[-1])
    child.start()
    pin(cpus[0])
    there.close()
    message, count, samples, clock = bytes(size), 0, [], time.monotonic_ns
    here.recv_bytes()
    start = clock()
    end = start + int(seconds * 1e9)
    if kind == "throughput":
        while count == 0 or clock() < end:
            for _ in range(chunk):
                here.send_bytes(message)
            count += chunk
        here.send_bytes(b"")
        here.recv_bytes()
    else:
        while count == 0 or clock() < end:
            t = clock()
            here.send_bytes(message)
            here.recv_bytes()
            samples.append(clock() - t)
            count += 1
    elapsed = clock() - start
    if kind != "throughput":
        here.send_bytes(b"")
    child.join()
    print(json.dumps({"count": count, "elapsed": elapsed, "samples": samples}))

main()
