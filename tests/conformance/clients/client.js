// Node's http module and its fetch as clients of the conformance suite: client.js http|fetch, requests as JSON on
// standard input, answers on standard output.
"use strict";
const http = require("http");

const agent = new http.Agent({keepAlive: true});
const parts = (data) => Array.from({length: Math.ceil(data.length / 1000)}, (_, i) => data.subarray(i * 1000, (i + 1) * 1000));

function byHttp(base, {method, path, headers, body, how}) {
	return new Promise((resolve, reject) => {
		const all = {...headers};
		if (how === "length" && body.length) all["Content-Length"] = body.length;
		if (how === "chunked") all["Transfer-Encoding"] = "chunked";
		if (how === "expect") Object.assign(all, {Expect: "100-continue", "Content-Length": body.length});
		const request = http.request(base + path, {method, headers: all, agent});
		request.on("error", reject);
		request.on("response", (response) => {
			const chunks = [];
			response.on("data", (chunk) => chunks.push(chunk));
			response.on("error", reject);
			response.on("end", () => resolve({
				status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString("base64"),
				reused: request.reusedSocket,
			}));
		});
		if (how === "expect") {
			request.on("continue", () => request.end(body));
			request.flushHeaders();
		} else {
			for (const part of parts(body)) request.write(part);
			request.end();
		}
	});
}

async function byFetch(base, {method, path, headers, body, how}) {
	const options = {method, headers, redirect: "manual"};
	if (how === "chunked") {
		options.duplex = "half";
		options.body = new ReadableStream({
			start(controller) {
				for (const part of parts(body)) controller.enqueue(part);
				controller.close();
			},
		});
	} else if (body.length) {
		options.body = body;
	}
	const response = await fetch(base + path, options);
	const bytes = Buffer.from(await response.arrayBuffer());
	return {status: response.status, headers: Object.fromEntries(response.headers), body: bytes.toString("base64"), reused: null};
}

async function main() {
	let text = "";
	for await (const chunk of process.stdin) text += chunk;
	const order = JSON.parse(text);
	const ask = process.argv[2] === "fetch" ? byFetch : byHttp;
	const requests = order.requests.map((request) => ({...request, body: Buffer.from(request.body, "base64")}));
	const answers = [];
	if (order.parallel) {
		answers.push(...await Promise.all(requests.map((request) => ask(order.base, request))));
	} else {
		for (const request of requests) answers.push(await ask(order.base, request));
	}
	console.log(JSON.stringify(answers));
	agent.destroy();
}

main().catch((problem) => {
	console.error(problem);
	process.exit(1);
});
