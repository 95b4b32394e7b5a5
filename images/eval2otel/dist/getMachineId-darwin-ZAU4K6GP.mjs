import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);
import{b as n}from"./chunk-QY4FVX2G.mjs";import{m as r}from"./chunk-RYN2LJ5S.mjs";var o=5e3;async function u(){try{let t=(await n("/usr/sbin/ioreg",["-rd1","-c","IOPlatformExpertDevice"],{timeout:o})).stdout.split(`
`).find(c=>c.includes("IOPlatformUUID"));if(!t)return;let i=t.split('" = "');if(i.length===2)return i[1].slice(0,-1)}catch(e){r.debug(`error reading machine id: ${e}`)}}export{u as getMachineId};
