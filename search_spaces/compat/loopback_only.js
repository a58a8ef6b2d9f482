"use strict";
// A preload for the node that NNI brings along: its web servers listen on 127.0.0.1 in place of every interface.
// Other programs of node, which may see the same NODE_OPTIONS, are left as they are.
const net = require("net");
const path = require("path");

const HOST = "127.0.0.1";
const script = process.argv[1] || "";
const isManager = script.endsWith(path.join("nni_node", "main.js"));
const isKeeper = script.endsWith(path.join("nni_node", "common", "trial_keeper", "main.js"));

// The arguments of net.Server.listen with a host: null where they have one, or name a UNIX socket or a descriptor.
function withHost([first, second, ...rest]) {
    if (typeof first === "object" && first !== null) {
        return first.port === undefined || first.host ? null : [{ ...first, host: HOST }, second, ...rest];
    }
    if (first === undefined || first === null) return [0, HOST, second, ...rest];
    if (typeof first === "function") return [0, HOST, first];
    if (isNaN(parseInt(first)) || typeof second === "string") return null;
    return [first, HOST, second, ...rest];
}

if (isManager || isKeeper) {
    const listen = net.Server.prototype.listen;
    net.Server.prototype.listen = function (...given) {
        const changed = withHost(given);
        if (changed !== null && isManager) {
            this.once("listening", () => {
                console.log(`NNI's web page, for this machine alone: http://${HOST}:${this.address().port}`);
            });
        }
        return listen.apply(this, changed ?? given);
    };
}
