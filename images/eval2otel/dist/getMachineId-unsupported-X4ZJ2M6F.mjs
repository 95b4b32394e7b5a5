import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);
import{m as e}from"./chunk-RYN2LJ5S.mjs";async function d(){e.debug("could not read machine-id: unsupported platform")}export{d as getMachineId};
