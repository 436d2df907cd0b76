// A language server behind pipes: messages of JSON-RPC, each after a header with its length.
'use strict';
const { spawn } = require('child_process');

class Server {
  // `on` has a function for each notification and request of the server, by method: (params) => result.
  constructor(command, words, on) {
    this.on = on;
    this.waiting = new Map(); // by id: {resolve, reject}
    this.next = 1;
    this.read = Buffer.alloc(0);
    this.ended = null; // why nothing can be asked any more
    this.process = spawn(command, words, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.process.on('error', (e) => this.end(e.message));
    this.process.on('exit', (code) => this.end(`${command} ended with status ${code}`));
    this.process.stdin.on('error', () => {});
    this.process.stdout.on('data', (data) => this.take(data));
  }

  end(why) {
    if (this.ended) return;
    this.ended = why;
    for (const { reject } of this.waiting.values()) reject(new Error(why));
    this.waiting.clear();
    if (this.on.ended) this.on.ended(why);
  }

  take(data) {
    this.read = Buffer.concat([this.read, data]);
    for (;;) {
      const end = this.read.indexOf('\r\n\r\n');
      const length = end < 0 ? null : /content-length: *(\d+)/i.exec(this.read.toString('latin1', 0, end));
      if (!length || this.read.length < end + 4 + Number(length[1])) return;
      const body = this.read.subarray(end + 4, end + 4 + Number(length[1]));
      this.read = this.read.subarray(end + 4 + body.length);
      this.receive(JSON.parse(body.toString()));
    }
  }

  receive(message) {
    if (message.method === undefined) {
      const asked = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (!asked) return;
      if (message.error) asked.reject(new Error(message.error.message));
      else asked.resolve(message.result);
      return;
    }
    const handler = this.on[message.method];
    const result = handler ? handler(message.params) : null;
    if (message.id !== undefined) this.write({ id: message.id, result: result === undefined ? null : result });
  }

  write(message) {
    if (this.ended) return;
    const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
    this.process.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
    this.process.stdin.write(body);
  }

  tell(method, params) {
    this.write({ method, params });
  }

  // `token`: the editor's, which can cancel the request.
  ask(method, params, token) {
    if (this.ended) return Promise.reject(new Error(this.ended));
    const id = this.next++;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    if (token && token.onCancellationRequested) token.onCancellationRequested(() => this.tell('$/cancelRequest', { id }));
    this.write({ id, method, params });
    return answer;
  }

  async stop() {
    if (this.ended) return;
    this.on = {};
    await this.ask('shutdown', null).catch(() => {});
    this.tell('exit', null);
  }
}

module.exports = { Server };
