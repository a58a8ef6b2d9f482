"use strict";
// A preload for the node that NNI brings along: its manager gives a tuner a minute to connect in place of ten seconds.
// Other programs of node, which may see the same NODE_OPTIONS, are left as they are.
const path = require("path");

const GIVEN = 10000;
const PATIENCE = 60000;

if ((process.argv[1] || "").endsWith(path.join("nni_node", "main.js"))) {
    const wait = global.setTimeout;
    const patient = function (callback, delay, ...given) {
        const isTuners = delay === GIVEN && String(callback).includes("Tuner did not connect");
        return wait.call(this, callback, isTuners ? PATIENCE : delay, ...given);
    };
    for (const key of Object.getOwnPropertySymbols(wait)) {  // by which util.promisify knows it
        Object.defineProperty(patient, key, Object.getOwnPropertyDescriptor(wait, key));
    }
    global.setTimeout = patient;
}
